// What accessibility asks of the theme: a name for the search dialog, and tables that the keyboard can scroll, which
// the theme wraps only after the page has loaded.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
function reachable() {
  for (const part of document.querySelectorAll(".md-typeset__scrollwrap")) part.tabIndex = 0;
}
reachable();
new MutationObserver(reachable).observe(document.body, { childList: true, subtree: true });
