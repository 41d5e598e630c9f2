// What the console's pages gain from a script; none of them needs one.
(() => {
  "use strict";

  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

  // Moments come in UTC; show them in the reader's zone, with UTC on hover.
  function localiseTimes(root) {
    for (const element of root.querySelectorAll("time[datetime]:not([title])")) {
      element.title = element.textContent;
      element.textContent = format.format(new Date(element.dateTime));
    }
  }

  localiseTimes(document);

  document.addEventListener("htmx:afterSwap", () => {
    localiseTimes(document);
    const said = document.getElementById("announcement");
    const source = document.querySelector("[data-announce]");
    if (said && source) said.textContent = source.dataset.announce;
  });

  // Say so when the server cannot be reached, until it can again.
  const contact = document.getElementById("contact");
  document.addEventListener("htmx:sendError", () => { contact.hidden = false; });
  document.addEventListener("htmx:afterOnLoad", () => { contact.hidden = true; });
})();
