// Which of the languages the page speaks. What Python wrote in all of them is shown and hidden by style alone
// (page.css, .said); what the script writes takes its words from the catalogues, which are in the page as JSON.

const language = (() => {
  const SPEECH = JSON.parse(document.getElementById("speech").textContent);
  const root = document.documentElement, button = document.getElementById("language"), listeners = [];
  const t = (key) => SPEECH[root.lang][key];

  function speak(code) {
    root.lang = code;
    for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
    for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
    button.lang = t("otherCode");
    button.textContent = t("other");
    listeners.forEach((listener) => listener());
  }

  button.addEventListener("click", () => speak(t("otherCode")));
  root.classList.add("alive");
  speak(root.lang);
  return { t, words: () => SPEECH[root.lang], whenChanged: (listener) => listeners.push(listener) };
})();
