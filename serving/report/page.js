(() => {
  "use strict";
  const root = document.documentElement;

  // Light or dark: as the system says, until somebody says otherwise.
  const button = document.querySelector(".theme");
  const dark = () =>
    (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = dark() ? button.dataset.light : button.dataset.dark; };
  button.hidden = false;
  name();
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);

  // Tables sort by their headings.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.tagName !== "TH" || "plain" in head.dataset) return;
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.className = "sort";
      sorter.append(...head.childNodes);
      head.append(sorter);
      sorter.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => {
          const cell = row.cells[column];
          return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent.trim();
        };
        const order = (a, b) =>
          typeof a === "number" && typeof b === "number" ? a - b
          : typeof a === "number" ? 1 : typeof b === "number" ? -1
          : a.localeCompare(b, root.lang, { numeric: true });
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => (down ? -1 : 1) * order(key(a), key(b)));
        table.tBodies[0].append(...rows);
      });
    });
  }

  // The drawings become charts that answer to a pointer. Expressions are interpreted, so the
  // page's policy needs no "unsafe-eval".
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const wake = async (place) => {
    const spec = {
      $schema: "https://vega.github.io/schema/vega-lite/v6.json",
      ...data.charts[place.dataset.chart],
      width: "container",
      autosize: data.autosize,
      config: data.config,
    };
    const drawn = document.createElement("div");
    drawn.className = "live";
    place.append(drawn);
    await vegaEmbed(drawn, spec, {
      ast: true, renderer: "svg", actions: false, defaultStyle: false,
      tooltip: { disableDefaultStyle: true, theme: "regulars" },
    });
    place.querySelector(":scope > svg").remove();
    place.dataset.live = "";
  };
  const all = async () => {
    for (const place of document.querySelectorAll("[data-chart]")) {
      await wake(place);
      await new Promise((done) => setTimeout(done));
    }
    root.dataset.ready = "";
  };
  all();

  // The table of contents says where the reader is.
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a) => a.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
})();
