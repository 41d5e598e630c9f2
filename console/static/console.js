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

  // One click chooses everybody on the page.
  function offerAll(root) {
    for (const place of root.querySelectorAll("[data-bulk]:not([data-offered])")) {
      place.dataset.offered = "true";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = place.dataset.bulk;
      button.addEventListener("click", () => {
        const boxes = [...document.querySelectorAll('input[form="bulk"]')];
        const on = !boxes.every((box) => box.checked);
        for (const box of boxes) box.checked = on;
      });
      place.prepend(button);
    }
  }

  offerAll(document);
  document.addEventListener("htmx:afterSwap", () => offerAll(document));

  // Say so when the server cannot be reached, until it can again.
  const contact = document.getElementById("contact");
  document.addEventListener("htmx:sendError", () => { contact.hidden = false; });
  document.addEventListener("htmx:afterOnLoad", () => { contact.hidden = true; });
})();
