// A link to the page's twin in the other language, where it has one and does not name it itself.
addEventListener("DOMContentLoaded", () => {
  if (location.pathname.includes(".zh-CN.html")) document.documentElement.lang = "zh-CN";
  const twin = document.querySelector("link[rel=alternate][hreflang]");
  const title = document.querySelector("article h1");
  if (!twin || !title) return;
  if ([...document.querySelectorAll("article p a")].some((each) => each.href === twin.href)) return;
  const link = document.createElement("a");
  link.href = twin.href;
  link.lang = twin.hreflang;
  link.textContent = link.lang === "en" ? "English" : "中文";
  link.className = "language";
  title.before(link);
});
