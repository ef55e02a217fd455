// Each page has a twin in the other language, under the same name with or without ".zh-CN".
addEventListener("DOMContentLoaded", () => {
  const here = location.pathname;
  const chinese = here.includes(".zh-CN.html");
  if (here.includes("/reference/") || /(genindex|search|mathematics|literature|architecture)\.html$/.test(here)) return;
  const name = here.endsWith("/") ? here + "index.html" : here;
  const link = document.createElement("a");
  link.href = chinese ? name.replace(".zh-CN.html", ".html") : name.replace(/\.html$/, ".zh-CN.html");
  link.textContent = chinese ? "English" : "中文";
  link.lang = chinese ? "en" : "zh-CN";
  link.className = "language";
  const title = document.querySelector("article h1");
  if (title) title.before(link);
  if (chinese) document.documentElement.lang = "zh-CN";
});
