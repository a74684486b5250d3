# From the records of the runs to tables, for any folder of results: the campaign's, that of the frameworks against
# themselves, and a merged one. A table is one module of framebench/analyse.


rule table:
    input:
        records_behind,
        unpack(files_of_table),
        code=lambda wildcards: catalogue.code(
            "framebench.analyse.command", tables()[wildcards.table].module
        ),
    output:
        report(
            "{folder}/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        "{folder}/logs/{table}.log",
    wildcard_constraints:
        folder=FOLDERS,
        table="|".join(tables()),
    params:
        options=lambda wildcards, input: options_of(
            tables()[wildcards.table].needs, input, tables()[wildcards.table].settings
        ),
    shell:
        "python -P -m framebench table {wildcards.table} {params.options:q} --output {output:q} 2>&1 | tee {log:q} >&2"


rule tables:
    """Every table of the campaign."""
    input:
        tables_of(RESULTS),


rule complete:
    """Fails where a run failed or was left out, after everything possible was measured and drawn."""
    input:
        # Needed although the table has them: a run that was set aside must be missed.
        lambda wildcards: records_of(wildcards.folder),
        code=catalogue.code("framebench.analyse.failures"),
        table=lambda wildcards: (
            rules.merged_records.output.left_out
            if wildcards.folder == MERGED
            else f"{wildcards.folder}/measurements.csv"
        ),
    output:
        touch("{folder}/.complete"),
    log:
        "{folder}/logs/complete.log",
    wildcard_constraints:
        folder=FOLDERS,
    params:
        option=lambda wildcards: (
            "--left-out" if wildcards.folder == MERGED else "--measurements"
        ),
    shell:
        "python -P -m framebench failures {params.option} {input.table:q} 2>&1 | tee {log:q} >&2"
