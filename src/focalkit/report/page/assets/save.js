// What can be taken away: code by a button that copies it, tables as files, and boxes that show that they scroll.

(() => {
  const { t } = language;

  async function copy(button) {
    const text = button.parentElement.querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
      if (!document.execCommand("copy")) return;
      getSelection().removeAllRanges();
    }
    button.textContent = t("copied");
    setTimeout(() => { button.textContent = t("copy"); }, 1500);
  }

  // Cells as the reader sees them, in the language of the page; a text that a spreadsheet would run stays a text.
  function csv(table) {
    const shown = (cell) => {
      const copy = cell.cloneNode(true);
      for (const node of copy.querySelectorAll(".said")) if (node.lang !== document.documentElement.lang) node.remove();
      const text = copy.textContent.trim();
      return `"${(/^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? "'" + text : text).replaceAll('"', '""')}"`;
    };
    return [...table.rows].map((row) => [...row.cells].map(shown).join(",")).join("\r\n") + "\r\n";
  }

  function save(button) {
    const table = button.closest("section").querySelector("table");
    const place = URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv" }));
    Object.assign(document.createElement("a"), { href: place, download: button.dataset.name }).click();
    setTimeout(() => URL.revokeObjectURL(place), 1000);
  }

  for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));
  for (const button of document.querySelectorAll("button.save")) button.addEventListener("click", () => save(button));

  const mark = (box) => {
    box.classList.toggle("more-right", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    box.classList.toggle("more-below", box.scrollTop + box.clientHeight < box.scrollHeight - 1);
  };
  const seen = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target.closest(".scroll"))));
  for (const box of document.querySelectorAll(".scroll")) {
    box.addEventListener("scroll", () => mark(box), { passive: true });
    seen.observe(box);
    for (const child of box.children) seen.observe(child);
    mark(box);
  }
})();
