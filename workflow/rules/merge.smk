# Many machines' results as one table and page, through the rules of any campaign. A device is named with its machine, so
# that nothing is compared across machines but equal cards, in agreement.csv.
import json

from framebench.plan import catalogue

MERGED = f"{RESULTS}/merged"
MERGE_LOGS = f"{RESULTS}/logs/merged"


rule merge:
    """Fails where anything was left out, after everything else was merged and drawn."""
    input:
        expand(f"{MERGED}/report.{{language}}.html", language=CONFIG.languages),
        expand(f"{MERGED}/verdict.{{language}}.txt", language=CONFIG.languages),
        f"{MERGED}/.complete",


checkpoint merged_records:
    """The records of all parts, each once."""
    input:
        merged_files,
        code=catalogue.code("framebench.exchange.merge"),
    output:
        runs=directory(f"{MERGED}/runs"),
        certificates=directory(f"{MERGED}/certificates"),
        plan=f"{MERGED}/plan.txt",
        rounds=f"{MERGED}/rounds.json",
        parts=f"{MERGED}/parts.csv",
        left_out=f"{MERGED}/left_out.csv",
    log:
        f"{MERGE_LOGS}/records.log",
    params:
        parts=json.dumps([vars(part) for part in CONFIG.merge]),
        folder=subpath(output.plan, parent=True),
    shell:
        "python -P -m framebench.exchange.merge --parts {params.parts:q} --output {params.folder:q}"
        " 2>&1 | tee {log:q} >&2"


use rule measurements as merged_measurements with:
    input:
        rules.merged_records.output.runs,
        code=catalogue.code("framebench.analyse.table"),
        plan=rules.merged_records.output.plan,
    output:
        f"{MERGED}/measurements.csv",
    log:
        f"{MERGE_LOGS}/measurements.log",


use rule comparisons as merged_comparisons with:
    input:
        code=catalogue.code("framebench.analyse.comparisons"),
        measurements=rules.merged_measurements.output,
        rounds=rules.merged_records.output.rounds,
        certificates=merged_certificates,
    output:
        f"{MERGED}/comparisons.csv",
    log:
        f"{MERGE_LOGS}/comparisons.log",
    params:
        confidence=CONFIG.confidence,
        rounds=["--rounds", rules.merged_records.output.rounds],
        across_cards=["--across-cards"] if CONFIG.across_cards else [],


use rule power as merged_power with:
    input:
        code=catalogue.code("framebench.analyse.power"),
        measurements=rules.merged_measurements.output,
    output:
        f"{MERGED}/power.csv",
    log:
        f"{MERGE_LOGS}/power.log",


use rule effects as merged_effects with:
    input:
        code=catalogue.code("framebench.analyse.effects"),
        measurements=rules.merged_measurements.output,
        rounds=rules.merged_records.output.rounds,
    output:
        f"{MERGED}/effects.csv",
    log:
        f"{MERGE_LOGS}/effects.log",
    params:
        confidence=CONFIG.confidence,
        rounds=["--rounds", rules.merged_records.output.rounds],


use rule payback as merged_payback with:
    input:
        code=catalogue.code("framebench.analyse.payback"),
        measurements=rules.merged_measurements.output,
    output:
        f"{MERGED}/payback.csv",
    log:
        f"{MERGE_LOGS}/payback.log",


use rule overhead as merged_overhead with:
    input:
        code=catalogue.code("framebench.analyse.overhead"),
        adapters=[catalogue.adapter(name).path for name in catalogue.frameworks()],
        measurements=rules.merged_measurements.output,
    output:
        f"{MERGED}/overhead.csv",
    log:
        f"{MERGE_LOGS}/overhead.log",


use rule why as merged_why with:
    input:
        code=catalogue.code("framebench.analyse.why"),
        measurements=rules.merged_measurements.output,
    output:
        f"{MERGED}/why.csv",
    log:
        f"{MERGE_LOGS}/why.log",


use rule noise as merged_noise with:
    input:
        code=catalogue.code("framebench.analyse.noise"),
        plan=rules.merged_records.output.plan,
        measurements=rules.merged_measurements.output,
        comparisons=rules.merged_comparisons.output,
        rounds=rules.merged_records.output.rounds,
    output:
        f"{MERGED}/noise.csv",
    log:
        f"{MERGE_LOGS}/noise.log",
    params:
        rounds=["--rounds", rules.merged_records.output.rounds],


use rule order as merged_order with:
    input:
        code=catalogue.code("framebench.analyse.order"),
        measurements=rules.merged_measurements.output,
    output:
        f"{MERGED}/order.csv",
    log:
        f"{MERGE_LOGS}/order.log",


use rule warmup as merged_warmup with:
    input:
        code=catalogue.code("framebench.analyse.warmup"),
        plan=rules.merged_records.output.plan,
        measurements=rules.merged_measurements.output,
    output:
        f"{MERGED}/warmup.csv",
    log:
        f"{MERGE_LOGS}/warmup.log",


use rule limits as merged_limits with:
    input:
        code=catalogue.code("framebench.analyse.limits"),
        measurements=rules.merged_measurements.output,
        peaks="workflow/resources/gpu-peaks.csv",
    output:
        f"{MERGED}/limits.csv",
    log:
        f"{MERGE_LOGS}/limits.log",


use rule literature as merged_literature with:
    input:
        code=catalogue.code("framebench.analyse.literature"),
        measurements=rules.merged_measurements.output,
        literature="workflow/resources/literature.csv",
        of_2018="workflow/resources/rosetta-2018.csv",
    output:
        f"{MERGED}/literature.csv",
    log:
        f"{MERGE_LOGS}/literature.log",


rule agreement:
    """Whether equal cards of several machines agree, and several versions on one."""
    input:
        code=catalogue.code("framebench.analyse.agreement"),
        measurements=rules.merged_measurements.output,
    output:
        f"{MERGED}/agreement.csv",
    log:
        f"{MERGE_LOGS}/agreement.log",
    params:
        confidence=CONFIG.confidence,
    shell:
        "python -P -m framebench.analyse.agreement --measurements {input.measurements}"
        " --confidence {params.confidence} --output {output} 2>&1 | tee {log:q} >&2"


use rule verdict as merged_verdict with:
    input:
        code=catalogue.code("framebench.answer.verdict"),
        texts=texts,
        measurements=rules.merged_measurements.output,
        comparisons=rules.merged_comparisons.output,
        effects=rules.merged_effects.output,
        overheads=rules.merged_overhead.output,
        whys=rules.merged_why.output,
        agreements=rules.agreement.output,
    output:
        f"{MERGED}/verdict.{{language}}.txt",
    log:
        f"{MERGE_LOGS}/verdict-{{language}}.log",
    params:
        baseline=CONFIG.baseline,
        agreements=["--agreements", rules.agreement.output],


use rule figure_2018 as merged_figure_2018 with:
    output:
        multiext(f"{MERGED}/figures/{{language}}/{{figure}}", svg=".svg", png=".png"),
    log:
        f"{MERGE_LOGS}/figures/{{language}}-{{figure}}.log",


use rule figure as merged_figure with:
    input:
        code=catalogue.code("framebench.figures"),
        texts=texts,
        measurements=rules.merged_measurements.output,
        comparisons=rules.merged_comparisons.output,
        effects=rules.merged_effects.output,
        payback=rules.merged_payback.output,
        warmup=rules.merged_warmup.output,
        order=rules.merged_order.output,
        limits=rules.merged_limits.output,
        literature=rules.merged_literature.output,
        published=PUBLISHED_2018,
    output:
        multiext(f"{MERGED}/figures/{{language}}/{{figure}}", svg=".svg", png=".png"),
    log:
        f"{MERGE_LOGS}/figures/{{language}}-{{figure}}.log",
    wildcard_constraints:
        figure="(?!article-2018-)[^/]+",


use rule page as merged_page with:
    input:
        merged_figures,
        code=catalogue.code("framebench.report"),
        layout=LAYOUT,
        texts=texts,
        tables=[
            rules.merged_measurements.output,
            rules.merged_comparisons.output,
            rules.merged_power.output,
            rules.merged_effects.output,
            rules.merged_payback.output,
            rules.merged_overhead.output,
            rules.merged_why.output,
            rules.merged_noise.output,
            rules.merged_order.output,
            rules.merged_warmup.output,
            rules.merged_limits.output,
            rules.merged_literature.output,
            rules.agreement.output,
            rules.merged_records.output.parts,
            rules.merged_records.output.left_out,
        ],
        certificates=merged_certificates,
        published="workflow/resources/rosetta-2018.csv",
        citation="CITATION.cff",
    output:
        f"{MERGED}/report.{{language}}.html",
    log:
        f"{MERGE_LOGS}/report-{{language}}.log",
    params:
        # Of the parts' own configurations, nothing but their cells is known here.
        config=json.dumps({"merge": config["merge"]}),
        command="snakemake --cores all merge",
        languages=CONFIG.languages,
        baseline=CONFIG.baseline,
        results=subpath(output[0], parent=True),


rule merge_complete:
    input:
        code=catalogue.code("framebench.exchange.complete"),
        left_out=rules.merged_records.output.left_out,
    output:
        touch(f"{MERGED}/.complete"),
    log:
        f"{MERGE_LOGS}/complete.log",
    shell:
        "python -P -m framebench.exchange.complete --left-out {input.left_out} 2>&1 | tee {log:q} >&2"
