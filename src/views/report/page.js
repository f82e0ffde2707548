"use strict";
// The page can be read without this. It adds what moves: the slider, playing, wiping, the cursor in the curves, the grid.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const runs = data.runs;
  const several = runs.length > 1;
  const mostAtFirst = 6; // runs side by side
  const kindNames = { x0: "x0, expected picture", xt: "xt, noisy latents", diff: "change of x0" };

  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const option = (value, text) => make("option", { value, textContent: text });
  const number = (value) => Number(value.toPrecision(3)).toString();

  const state = {
    shown: several && data.shows_all ? runs.map((_, index) => index).slice(0, mostAtFirst) : [0],
    kinds: new Set(several ? ["x0"] : ["x0", "xt"]),
    position: 0, // a step of the first run that is shown; 0 is the noise that it began with
    wipes: false,
    timer: null,
  };

  // ---- what the page holds of each run

  const articles = all("article.run");
  const frames = articles.map((article) => {
    const byKind = {};
    for (const image of all("img.frame", article)) {
      (byKind[image.dataset.kind] ??= new Map()).set(Number(image.dataset.step), image);
    }
    return byKind;
  });
  const finals = runs.map((_, index) => document.querySelector(`img[data-final="${index}"]`));

  /** The frame of a step, or of the last step before it that has one. */
  function frameAt(run, kind, step) {
    const ofKind = frames[run][kind];
    if (!ofKind) return null;
    for (let before = step; before >= 0; --before) {
      if (ofKind.has(before)) return ofKind.get(before);
    }
    return null;
  }

  const lead = () => state.shown[0];
  const lastStep = () => runs[lead()].steps.length;

  /** The step of a run that stands beside the slider's: where sigma / alpha is nearest. */
  function stepOf(run) {
    if (run === lead() || state.position === 0) return Math.min(state.position, runs[run].steps.length);
    return nearestStep(run, runs[lead()].steps[state.position - 1].sigma);
  }

  function nearestStep(run, sigma) {
    const away = (step) => Math.abs(Math.log(step.sigma || 1e-6) - Math.log(sigma || 1e-6));
    return runs[run].steps.reduce((best, step) => (away(step) <= away(best) ? step : best)).step;
  }

  function whereText(run) {
    const step = stepOf(run);
    if (step === 0) return "the noise at the start";
    const { sigma, timestep } = runs[run].steps[step - 1];
    const told = timestep === null ? "" : `, timestep ${number(timestep)}`;
    return `step ${step} of ${runs[run].steps.length}, sigma ${number(sigma)}${told}`;
  }

  // ---- panes: a picture that follows the slider

  const panes = byId("panes");
  let shownPanes = []; // {run, kind, image, caption}

  function allPanes() {
    const chosen = [];
    for (const run of state.shown) {
      for (const kind of Object.keys(kindNames)) {
        if (frames[run][kind]) chosen.push({ run, kind });
      }
    }
    return chosen;
  }

  /** In which settings a run differs from the others: the first few of them. */
  function differences(run) {
    const told = data.varied.slice(0, 3).map((key) => {
      const value = runs[run].settings[key];
      return key === "prompt" ? value : `${key.replaceAll("_", " ")} ${value}`;
    });
    return told.join(", ") || runs[run].name;
  }

  function paneTitle({ run, kind }) {
    const title = make("b", { textContent: kindNames[kind] });
    return several ? [make("bdi", { textContent: differences(run) }), " ", title] : [title];
  }

  const newImage = () => make("img", { className: "shown", decoding: "sync" });

  function buildSide() {
    shownPanes = allPanes()
      .filter(({ kind }) => state.kinds.has(kind))
      .map((pane) => ({ ...pane, image: newImage(), caption: make("span") }));
    panes.replaceChildren(
      ...shownPanes.map((pane) =>
        make("figure", { className: "pane" }, make("figcaption", {}, ...paneTitle(pane)), pane.image, pane.caption),
      ),
    );
  }

  function buildWipe() {
    const choices = allPanes();
    const sides = ["wipe-left", "wipe-right"].map((id) => choices[Number(byId(id).value)] ?? choices[0]);
    shownPanes = sides.map((pane) => ({ ...pane, image: newImage(), caption: make("span") }));
    shownPanes[1].image.classList.add("over");
    const captions = shownPanes.map((pane, side) =>
      make("span", { className: side ? "right" : "left" }, ...paneTitle(pane), make("br"), pane.caption),
    );
    panes.replaceChildren(
      make("figure", { className: "pane wiped" }, make("div", { className: "stack" }, ...shownPanes.map((p) => p.image)),
        make("figcaption", {}, ...captions)),
    );
    wipe();
  }

  function wipe() {
    const over = panes.querySelector("img.over");
    if (over) over.style.clipPath = `inset(0 0 0 ${byId("wipe").value}%)`;
  }

  function fillWipeChoices() {
    const choices = allPanes();
    ["wipe-left", "wipe-right"].forEach((id, side) => {
      const select = byId(id);
      select.replaceChildren(
        ...choices.map(({ run, kind }, index) =>
          option(index, several ? `${run + 1}: ${kindNames[kind]}` : kindNames[kind])),
      );
      const other = choices.findIndex(({ run, kind }) =>
        several && state.shown.length > 1 ? run === state.shown[1] && kind === "x0" : kind === "xt");
      select.value = side ? Math.max(other, 0) : 0;
    });
  }

  function buildPanes() {
    byId("wipe-options").hidden = !state.wipes;
    byId("kinds").disabled = state.wipes;
    if (state.wipes) buildWipe();
    else buildSide();
    render();
  }

  /** A frame's own step, where several steps share it, and its own level: that of xt is the one the step reached. */
  function captionOf(frame, run) {
    const { step, sigma } = frame.dataset;
    return step === "0" ? `noise at the start, sigma ${sigma}` : `step ${step} of ${runs[run].steps.length}, sigma ${sigma}`;
  }

  function fillPane(pane) {
    const step = stepOf(pane.run);
    const frame = frameAt(pane.run, pane.kind, step);
    pane.image.classList.toggle("empty", !frame);
    const about = frame ? frame.alt : `${pane.kind} has no picture here`;
    if (pane.image.alt !== about) {
      const size = frame ?? finals[pane.run];
      pane.image.src = frame ? frame.src : "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
      pane.image.width = size.width;
      pane.image.height = size.height;
      pane.image.alt = about;
    }
    pane.caption.textContent = frame ? captionOf(frame, pane.run) : "no picture yet";
  }

  // ---- curves

  const chartLeft = (svg) => Number(svg.dataset.left);
  const chartRight = (svg) => Number(svg.dataset.right);

  function chartPlace(figure, svg) {
    const step = Math.max(state.position, 1);
    const x = figure.dataset.x === "sigma" ? Math.log(runs[lead()].steps[step - 1].sigma) : step;
    const share = (x - Number(svg.dataset.from)) / (Number(svg.dataset.to) - Number(svg.dataset.from));
    return chartLeft(svg) + Math.min(Math.max(share, 0), 1) * (chartRight(svg) - chartLeft(svg));
  }

  function readingOf(chart) {
    const keys = Object.keys(data.quantities).filter((key) => data.quantities[key].chart === chart);
    const parts = [];
    for (const run of state.shown.slice(0, 4)) {
      const step = runs[run].steps[Math.max(stepOf(run), 1) - 1];
      for (const key of several ? keys.slice(0, 1) : keys) {
        const value = step.numbers[key];
        const name = several ? runs[run].name : data.quantities[key].label;
        parts.push(make("span", {}, make("bdi", { textContent: name }), ` ${value === undefined ? "–" : number(value)}`));
      }
    }
    return parts;
  }

  function moveCursors() {
    for (const figure of all("#curves .chart")) {
      const svg = figure.querySelector("svg");
      const place = chartPlace(figure, svg);
      const cursor = svg.querySelector(".cursor");
      cursor.setAttribute("x1", place);
      cursor.setAttribute("x2", place);
      figure.querySelector(".reading").replaceChildren(...readingOf(figure.id));
    }
    state.shown.forEach((run) => {
      const step = String(Math.max(stepOf(run), 1));
      for (const curve of all(".spectrum .curve", articles[run])) {
        curve.classList.toggle("now", curve.dataset.quantity === step);
      }
      const reading = articles[run].querySelector(".spectrum .reading");
      if (reading) reading.textContent = `the thick line is x0 at step ${step}`;
    });
  }

  function goToChartPlace(event) {
    const svg = event.currentTarget;
    const figure = svg.closest(".chart");
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const share = (place - chartLeft(svg)) / (chartRight(svg) - chartLeft(svg));
    const x = Number(svg.dataset.from) + share * (Number(svg.dataset.to) - Number(svg.dataset.from));
    goTo(figure.dataset.x === "sigma" ? nearestStep(lead(), Math.exp(x)) : Math.round(x));
  }

  // ---- the slider

  const slider = byId("position");

  function markFrames() {
    for (const run of state.shown) {
      const step = stepOf(run);
      for (const strip of all(".strip", articles[run])) markIn(strip, step);
      for (const row of all(".numbers tbody tr", articles[run])) row.classList.toggle("now", Number(row.dataset.step) === step);
    }
  }

  function markIn(strip, step) {
    for (const image of all("img", strip)) {
      const item = image.closest("li");
      const isNow = Number(image.dataset.step) === step;
      item.classList.toggle("now", isNow);
      if (isNow) strip.scrollLeft = item.offsetLeft - strip.offsetLeft - (strip.clientWidth - item.clientWidth) / 2;
    }
  }

  function render() {
    slider.max = lastStep();
    slider.value = state.position;
    slider.setAttribute("aria-valuetext", whereText(lead()));
    byId("where").textContent = whereText(lead());
    shownPanes.forEach(fillPane);
    moveCursors();
    markFrames();
  }

  function goTo(position) {
    state.position = Math.min(Math.max(position, 0), lastStep());
    render();
  }

  // ---- playing

  const playButton = byId("play");

  function stop() {
    clearTimeout(state.timer);
    state.timer = null;
    playButton.textContent = "Play";
  }

  function tick() {
    if (state.position >= lastStep()) return stop();
    goTo(state.position + 1);
    state.timer = setTimeout(tick, 1000 / Number(byId("speed").value));
  }

  function playOrStop() {
    if (state.timer !== null) return stop();
    if (state.position >= lastStep()) goTo(0);
    playButton.textContent = "Stop";
    state.timer = setTimeout(tick, 1000 / Number(byId("speed").value));
  }

  function stepBy(steps) {
    stop();
    goTo(state.position + steps);
  }

  const moves = {
    ArrowLeft: () => stepBy(-1),
    ArrowRight: () => stepBy(1),
    Home: () => stepBy(-Infinity),
    End: () => stepBy(Infinity),
    " ": playOrStop,
  };

  /** Whether the element with the focus has a use of its own for the key. */
  function isTaken(target, key) {
    if (target.matches("select, textarea, [type=search], [type=text]")) return true;
    if (key === " ") return target.matches("button, summary, a, [type=checkbox], [type=radio]");
    return target.matches("[type=range], [type=radio]") || target.closest(".scroller, pre") !== null;
  }

  document.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey || isTaken(event.target, event.key)) return;
    event.preventDefault();
    move();
  });

  // ---- which runs are shown

  function show(shown) {
    stop();
    const atEnd = state.position >= lastStep();
    state.shown = shown;
    state.position = atEnd ? lastStep() : Math.min(state.position, lastStep());
    const isShown = (run) => state.shown.includes(run);
    articles.forEach((article, run) => (article.hidden = !isShown(run)));
    for (const button of all("#grid button")) button.setAttribute("aria-pressed", isShown(Number(button.dataset.run)));
    for (const row of all("#table tbody tr")) row.classList.toggle("now", isShown(Number(row.dataset.run)));
    if (several) {
      for (const part of all("#curves [data-run]")) part.classList.toggle("dim", !isShown(Number(part.dataset.run)));
    }
    fillWipeChoices();
    buildPanes();
  }

  function open(run) {
    const beside = byId("beside").checked;
    const others = beside ? state.shown.filter((other) => other !== run) : [];
    const closes = beside && state.shown.includes(run) && others.length > 0;
    show(closes ? others : [...others, run].sort((a, b) => a - b));
    if (!beside) byId("watch").scrollIntoView({ block: "start" });
  }

  // ---- grid and table of several runs

  const rows = several ? all("#table tbody tr") : [];
  const rowOf = (run) => rows.find((row) => Number(row.dataset.run) === run);
  const haystacks = runs.map((run) =>
    [run.name, run.prompt, ...Object.entries(run.settings).map(([key, value]) => `${key.replaceAll("_", " ")} ${value}`)]
      .join("\n").toLowerCase());

  function filterTerms() {
    return byId("filter").value.toLowerCase().split(",").map((term) => term.trim()).filter(Boolean);
  }

  function filter() {
    const terms = filterTerms();
    const isFound = (run) => terms.every((term) => haystacks[run].includes(term));
    for (const row of rows) row.hidden = !isFound(Number(row.dataset.run));
    const found = rows.filter((row) => !row.hidden).length;
    byId("found").textContent = `${found} of ${runs.length} runs`;
    buildGrid();
  }

  const byValue = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
  };

  function valuesOf(key) {
    const values = key === "" ? [""] : [...new Set(runs.map((run) => run.settings[key]))];
    return values.some((value) => Number.isNaN(Number(value))) ? values : values.sort(byValue); // words as they came
  }

  function cellButton(run) {
    const image = make("img", { src: finals[run].src, width: finals[run].width, height: finals[run].height, alt: "" });
    const button = make("button", { type: "button", className: "cell" }, image, make("bdi", { textContent: runs[run].name }));
    button.dataset.run = run;
    button.setAttribute("aria-pressed", state.shown.includes(run));
    button.addEventListener("click", () => open(run));
    return button;
  }

  function buildGrid() {
    const [rowKey, columnKey] = [byId("rows").value, byId("columns").value];
    const columns = valuesOf(columnKey);
    const shownRuns = rows.filter((row) => !row.hidden).map((row) => Number(row.dataset.run));
    const name = (value) => make("bdi", { textContent: value });
    const body = valuesOf(rowKey).map((rowValue) => {
      const cells = columns.map((columnValue) =>
        make("td", {}, ...shownRuns
          .filter((run) => (rowKey === "" || runs[run].settings[rowKey] === rowValue) &&
            (columnKey === "" || runs[run].settings[columnKey] === columnValue))
          .map(cellButton)));
      const header = rowKey === "" ? [] : [make("th", { scope: "row" }, name(rowValue))];
      return make("tr", { hidden: cells.every((cell) => cell.childElementCount === 0) }, ...header, ...cells);
    });
    const corner = rowKey === "" ? [] : [make("td")];
    const head = make("tr", { hidden: columnKey === "" }, ...corner,
      ...columns.map((value) => make("th", { scope: "col" }, name(value))));
    byId("grid").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
  }

  function sortBy(header) {
    const falls = header.getAttribute("aria-sort") === "ascending";
    const column = [...header.parentElement.children].indexOf(header);
    for (const other of all("#table th[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const value = (row) => row.children[column].dataset.value;
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      return (falls && x !== "" && y !== "" ? -1 : 1) * byValue(x, y);
    });
    document.querySelector("#table tbody").append(...rows);
    buildGrid();
  }

  /** The page holds each picture once; the head of a run's part shows the table's. */
  function fillHeads() {
    articles.forEach((article, run) => {
      const { src, width, height, alt } = finals[run];
      article.querySelector(".head").prepend(make("img", { src, width, height, alt, className: "final" }));
    });
  }

  function prepareGrid() {
    fillHeads();
    byId("grid-options").append(
      make("label", {}, make("input", { type: "checkbox", id: "beside", checked: data.shows_all }), " side by side"));
    const names = data.varied.map((key) => [key, key.replaceAll("_", " ")]);
    for (const id of ["rows", "columns"]) {
      byId(id).append(option("", "none"), ...names.map(([key, name]) => option(key, name)));
      byId(id).addEventListener("change", buildGrid);
    }
    byId("rows").value = data.varied.length > 1 ? data.varied[0] : "";
    byId("columns").value = data.varied[Math.min(1, data.varied.length - 1)] ?? "";
    byId("filter").addEventListener("input", filter);
    for (const header of all("#table th[data-sort]")) {
      const button = make("button", { type: "button", textContent: header.textContent });
      header.replaceChildren(button);
      button.addEventListener("click", () => sortBy(header));
    }
    for (const link of all("#table a")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        open(Number(link.closest("tr").dataset.run));
      });
    }
    for (const image of all("#table .thumb")) {
      image.addEventListener("click", () => open(Number(image.closest("tr").dataset.run)));
    }
    filter();
  }

  // ---- the command, with another value

  /** As a POSIX shell reads it. */
  const quoted = (word) => (/^[\w\-+=:,./@%]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

  const commandText = (command) =>
    ["steplapse", ...command.map(({ flag, value }) => (flag ? `${flag} ` : "") + quoted(value))].join(" ");

  function prepareCommand(place) {
    const command = runs[Number(place.dataset.run)].command.map((part) => ({ ...part }));
    const settable = command.filter((part) => part.setting);
    const code = place.querySelector("code");
    const select = make("select", {}, ...settable.map((part, index) => option(index, part.setting.replaceAll("_", " "))));
    const input = make("input", { type: "text", autocomplete: "off", spellcheck: false });
    const copy = make("button", { type: "button", textContent: "Copy" });
    const choose = () => (input.value = settable[Number(select.value)].value);
    select.addEventListener("change", choose);
    input.addEventListener("input", () => {
      settable[Number(select.value)].value = input.value;
      code.textContent = commandText(command);
    });
    copy.addEventListener("click", async () => {
      getSelection().selectAllChildren(code);
      try {
        await navigator.clipboard.writeText(code.textContent);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "Selected";
      }
    });
    place.append(make("div", { className: "options" },
      ...(settable.length ? [make("label", {}, several ? "This cell with " : "This picture with ", select),
        make("label", {}, make("span", { className: "unseen", textContent: "Value" }), input)] : []), copy));
    if (settable.length) {
      const seed = settable.findIndex((part) => part.setting === "seed");
      select.value = Math.max(seed, 0);
      choose();
    }
  }

  // ---- the beginning

  function prepareKinds() {
    const there = Object.keys(kindNames).filter((kind) => frames.some((ofRun) => ofRun[kind]));
    for (const kind of there) {
      const box = make("input", { type: "checkbox", checked: state.kinds.has(kind) });
      box.addEventListener("change", () => {
        state.kinds[box.checked ? "add" : "delete"](kind);
        buildPanes();
      });
      byId("kinds").append(make("label", {}, box, ` ${kindNames[kind]}`));
    }
  }

  document.documentElement.classList.add("with-script");
  prepareKinds();
  slider.addEventListener("input", () => {
    stop();
    goTo(Number(slider.value));
  });
  byId("back").addEventListener("click", () => stepBy(-1));
  byId("forward").addEventListener("click", () => stepBy(1));
  playButton.addEventListener("click", playOrStop);
  byId("wipe").addEventListener("input", wipe);
  for (const id of ["wipe-left", "wipe-right"]) byId(id).addEventListener("change", buildPanes);
  for (const mode of all("[name=mode]")) {
    mode.addEventListener("change", () => {
      state.wipes = mode.value === "wipe";
      buildPanes();
    });
  }
  for (const svg of all("#curves svg")) svg.addEventListener("click", goToChartPlace);
  for (const strip of all(".strip")) {
    strip.addEventListener("click", (event) => {
      const image = event.target.closest("li")?.querySelector("img");
      const run = Number(strip.closest("article").dataset.run);
      if (!image) return;
      if (run !== lead()) show([run, ...state.shown.filter((other) => other !== run)]);
      stop();
      goTo(Number(image.dataset.step));
    });
  }
  all(".command").forEach(prepareCommand);
  if (several) {
    byId("alignment").textContent = "Runs stand side by side where sigma / alpha is nearest to the first one's.";
    prepareGrid();
  }
  state.position = lastStep();
  show(state.shown);
})();
