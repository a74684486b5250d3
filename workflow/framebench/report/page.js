// The page's own script: charts of what the reader chooses, tables that sort and filter, links that open what they lead to.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = data.words;

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // What is chosen

  let chosen = false; // by the reader

  const selects = [...document.querySelectorAll("select[data-facet]")];
  const quantitySelect = document.getElementById("quantity");
  const chosenWhere = () => Object.fromEntries(selects.map((select) => [select.dataset.facet, select.value]));

  const agreeing = (block, wanted) => Object.keys(wanted).filter((facet) => block.where[facet] === wanted[facet]).length;
  // Of those that were measured, the one that has the last choice and most of the others.
  function nearestBlock(wanted, last) {
    const closeness = (block) => agreeing(block, wanted) + (block.where[last] === wanted[last] ? 0.5 : 0);
    return data.blocks.reduce((best, block) => (closeness(block) > closeness(best) ? block : best));
  }

  // Not every combination was measured. A choice is never changed by another: the page says so, and offers the nearest.
  function choose(last) {
    const wanted = chosenWhere();
    const block = nearestBlock(wanted, last);
    const measured = agreeing(block, wanted) === selects.length;
    const place = document.getElementById("unmeasured-choice");
    place.hidden = measured;
    for (const part of document.querySelectorAll("#explorer .result")) part.hidden = !measured;
    if (measured) return show(block);
    const nearest = element("button", { type: "button", textContent: selects.filter((select) =>
      block.where[select.dataset.facet] !== select.value).map((select) =>
      [...select.options].find((option) => option.value === block.where[select.dataset.facet]).textContent).join(", ") });
    nearest.addEventListener("click", () => { select(block); choose(); });
    place.replaceChildren(`${words.not_measured_choice} `, nearest);
  }

  function select(block) {
    for (const one of selects) one.value = block.where[one.dataset.facet];
  }

  function show(block) {
    const quantity = data.quantities.find((one) => one.name === quantitySelect.value);
    document.getElementById("answers").replaceChildren(...block.answers.map(({ text, href }) =>
      element("p", {}, `${text} `, element("a", { className: "source", href, textContent: words.comparisons }))));
    document.getElementById("meaning").textContent = `${quantity.title}: ${quantity.meaning}`;
    document.querySelector("#chosen tbody").replaceChildren(...block.cells.map(chosenRow));
    // The address has the choice, and so has that of the page in another language.
    const choice = new URLSearchParams({ ...block.where, quantity: quantity.name });
    for (const link of document.querySelectorAll("a[hreflang]")) link.search = choice;
    if (chosen) history.replaceState(null, "", `?${choice}${location.hash}`);
    drawCharts(block, quantity);
  }

  function chosenRow(cell) {
    return element("tr", {}, element("th", { scope: "row", textContent: cell.framework }),
      ...data.quantities.map(({ name }) => {
        const value = cell.values[name];
        if (value.number === null) return element("td", { className: "gap", textContent: value.text });
        const shown = element("td", { className: "number" }, element("a", { href: value.href, textContent: value.text }));
        if (value.remark) shown.append(element("br"), element("small", { textContent: value.remark }));
        return shown;
      }));
  }

  // Charts

  const points = (block, quantity) => block.cells
    .map((cell) => ({ ...cell.values[quantity.name], ...cell, batch_size: Number(block.where.batch_size) }))
    .filter((point) => point.number !== null);

  // A colour and a marker for each framework, the same as in the figures.
  function looks(of) {
    const cells = [...new Map(of.map((point) => [point.framework, point])).values()];
    const scale = (key) => ({ domain: cells.map((cell) => cell.framework), range: cells.map((cell) => cell[key]) });
    return {
      color: { field: "framework", type: "nominal", title: null, scale: scale("colour") },
      shape: { field: "framework", type: "nominal", title: null, scale: scale("shape") },
    };
  }

  const scaleOf = (quantity) => (quantity.reference ? { type: "log", nice: false, padding: 20 } : { zero: true });
  const reference = (quantity, channel) => (quantity.reference
    ? [{ mark: "rule", data: { values: [{}] }, encoding: { [channel]: { datum: quantity.reference } } }]
    : []);

  function chartAtSize(block, quantity) {
    const of = points(block, quantity);
    const look = looks(of);
    const x = { field: "number", type: "quantitative", title: null, scale: scaleOf(quantity) };
    const y = { field: "framework", type: "nominal", title: null, sort: null };
    return {
      title: { text: words.at_size.replace("{batch_size}", block.where.batch_size), subtitle: quantity.title },
      height: 34 * block.cells.length,
      data: { values: of },
      config: { ...theme, legend: { disable: true } }, // the axis has the names
      layer: [
        ...reference(quantity, "x"),
        { mark: { type: "rule", strokeWidth: 2 }, encoding: { x: { ...x, field: "low" }, x2: { field: "high" }, y, color: look.color } },
        { mark: { type: "point", filled: true, size: 90, opacity: 1 }, encoding: { x, y, ...look, tooltip: tooltip(quantity) } },
      ],
    };
  }

  function chartOverSizes(block, quantity) {
    const alike = data.blocks.filter((other) => Object.keys(block.where)
      .every((facet) => facet === "batch_size" || other.where[facet] === block.where[facet]));
    if (alike.length < 2) return null;
    const of = alike.flatMap((other) => points(other, quantity));
    const sizes = [...new Set(alike.map((other) => Number(other.where.batch_size)))].sort((a, b) => a - b);
    const look = looks(of);
    const x = { field: "batch_size", type: "quantitative", title: words.batch_size, scale: { type: "log", base: 2, nice: false, padding: 24 }, axis: { values: sizes, format: "d", grid: false } };
    const y = { field: "number", type: "quantitative", title: null, scale: scaleOf(quantity) };
    return {
      title: { text: words.over_sizes, subtitle: quantity.title },
      height: 260,
      data: { values: of },
      layer: [
        { mark: { type: "rule", strokeDash: [3, 3] }, data: { values: [{}] }, encoding: { x: { datum: Number(block.where.batch_size) } } },
        ...reference(quantity, "y"),
        { mark: { type: "rule", strokeWidth: 2 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: look.color } },
        { mark: "line", encoding: { x, y, color: look.color } },
        { mark: { type: "point", filled: true, size: 70, opacity: 1 }, encoding: { x, y, ...look, tooltip: tooltip(quantity) } },
      ],
    };
  }

  const tooltip = (quantity) => [
    { field: "framework", type: "nominal", title: words.framework },
    { field: "batch_size", type: "quantitative", title: words.batch_size, format: "d" },
    { field: "text", type: "nominal", title: quantity.title },
  ];

  // In the colours of the page's style, which follow the reader's system and the printer.
  const [ink, quiet, line] = ["var(--ink)", "var(--quiet)", "var(--line)"];
  const theme = {
    aria: false, // a picture with a name; the table beside it is for screen readers
    background: null,
    font: getComputedStyle(document.body).fontFamily,
    title: { color: ink, subtitleColor: quiet, anchor: "start", frame: "group", fontSize: 14, subtitleFontSize: 12 },
    axis: { labelColor: ink, titleColor: quiet, gridColor: line, domainColor: quiet, tickColor: quiet, labelFontSize: 12, titleFontSize: 12, labelLimit: 240 },
    legend: { labelColor: ink, labelFontSize: 12, orient: "bottom", columns: 2, labelLimit: 0 },
    rule: { color: quiet },
    view: { stroke: null },
  };

  async function draw(id, spec) {
    const place = document.getElementById(id);
    place.parentElement.hidden = !spec;
    if (!spec) return;
    place.setAttribute("aria-label", `${spec.title.text}: ${spec.title.subtitle}`);
    // Expressions are interpreted, not compiled, as the page's policy has it.
    const sized = { width: "container", autosize: { type: "fit-x" }, config: theme, ...spec };
    const options = { mode: "vega-lite", ast: true, renderer: "svg", actions: false, defaultStyle: false };
    await vegaEmbed(place, sized, { ...options, tooltip: { disableDefaultStyle: true } });
    place.querySelector("svg").setAttribute("aria-hidden", "true");
  }

  function drawCharts(block, quantity) {
    const nothing = !points(block, quantity).length;
    const why = document.getElementById("nothing");
    why.hidden = !nothing;
    why.textContent = `${quantity.title}: ${[...new Set(block.cells.map((cell) => cell.values[quantity.name].text))].join("; ")}`;
    draw("at-size", nothing ? null : chartAtSize(block, quantity));
    draw("over-sizes", nothing ? null : chartOverSizes(block, quantity));
  }

  // Tables

  // Numbers by value, all else as text; what is not there comes last either way.
  function compare(one, other, direction) {
    if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
    const [a, b] = [Number(one), Number(other)];
    const order = Number.isNaN(a) || Number.isNaN(b) ? one.localeCompare(other) : a - b;
    return direction === "ascending" ? order : -order;
  }

  function makeSortable(table) {
    const headers = [...table.tHead.rows[0].cells];
    const key = (row, column) => {
      const cell = row.cells[column];
      return cell.dataset.sort ?? (cell.classList.contains("gap") ? undefined : cell.textContent.trim());
    };
    headers.forEach((header, column) => {
      const button = element("button", { type: "button" }, ...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", direction);
        const rows = [...table.tBodies[0].rows];
        rows.sort((one, other) => compare(key(one, column), key(other, column), direction));
        table.tBodies[0].append(...rows);
      });
    });
  }

  function makeFilter() {
    const [filter, gaps, shown] = ["filter", "gaps", "shown"].map((id) => document.getElementById(id));
    const rows = [...document.getElementById("cell-table").tBodies[0].rows];
    function apply() {
      const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word)) || (gaps.checked && !("gap" in row.dataset));
      }
      const left = rows.filter((row) => !row.hidden).length;
      shown.textContent = words.shown_cells.replace("{shown}", left).replace("{all}", rows.length);
    }
    filter.addEventListener("input", apply);
    gaps.addEventListener("change", apply);
    document.getElementById("filters").hidden = false;
    apply();
  }

  // Links into what is folded

  function unfold() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let place = target; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
    target.scrollIntoView();
  }

  // On paper nothing is folded but the rows of the tables, which are in files beside the page.
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("main > section:not(#rows) details")) folded.open = true;
  });

  for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
  makeFilter();
  if (data.blocks.length) {
    document.getElementById("explorer").hidden = false;
    document.getElementById("static").open = false;
    for (const one of [...selects, quantitySelect]) one.addEventListener("change", () => { chosen = true; choose(one.dataset.facet); });
    const { quantity, ...asked } = Object.fromEntries(new URLSearchParams(location.search));
    if (data.quantities.some((one) => one.name === quantity)) quantitySelect.value = quantity;
    select(nearestBlock({ ...data.start, ...asked }));
    choose();
  }
  addEventListener("hashchange", unfold);
  unfold();
})();
