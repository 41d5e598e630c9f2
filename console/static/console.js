// What the console's pages gain from a script; none of them needs one.
(() => {
  "use strict";

  const language = document.documentElement.lang;
  const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });

  // Moments come in UTC; show them in the reader's zone, with UTC, to the second,
  // on hover. A day is one of the zone that its list says.
  function localiseTimes(root) {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const list = element.closest("[data-show]");
      const show = list ? list.dataset.show : "";
      let format = show === "hour" ? clock : moment;
      if (show === "days") {
        format = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", timeZone: list.dataset.zone });
      }
      element.dataset.local = "";
      element.title ||= show === "days" ? element.dateTime : element.textContent;
      element.textContent = format.format(new Date(element.dateTime));
    }
  }

  localiseTimes(document);

  // On a phone the tabs scroll sideways: begin where the page's own is in sight,
  // and again when the phone is turned.
  const tab = document.querySelector(".tabs [aria-current]");
  if (tab) {
    new ResizeObserver(([{ target }]) => {
      target.scrollLeft = tab.offsetLeft - (target.clientWidth - tab.offsetWidth) / 2;
    }).observe(tab.parentElement);
  }

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

  // Whoever fills in a length of their own chooses it, and whoever chooses another
  // gives it up.
  for (const own of document.querySelectorAll("[data-own]")) {
    const radio = own.querySelector('input[type="radio"]');
    own.addEventListener("input", () => { radio.checked = true; });
    own.closest("fieldset").addEventListener("change", () => {
      if (!radio.checked) own.querySelector('input:not([type="radio"])').value = "";
    });
  }

  // Pages ask by themselves, but not where nobody sees them, nor once the session
  // has ended or what they show is gone.
  const polls = (element) => element.matches("[data-poll]");
  let over = false;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (polls(event.target) && (over || document.hidden)) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("[data-poll]")) htmx.trigger(element, "refresh");
  });
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.dataset.poll === "zone") {
      event.detail.parameters.zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    }
  });

  // An answer that is the same as before changes nothing, and so disturbs nobody.
  const answers = new WeakMap();
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!polls(event.target) || !event.detail.shouldSwap) return;
    if (answers.get(event.target) === event.detail.serverResponse) event.detail.shouldSwap = false;
    answers.set(event.target, event.detail.serverResponse);
  });

  // Say so when the server cannot be reached, until it can again.
  function say(what) {
    for (const notice of document.querySelectorAll("[data-contact]")) notice.hidden = notice.dataset.contact !== what;
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    if (over) return;
    const { successful, xhr } = event.detail;
    const problem = { 401: "ended", 404: "gone" }[xhr.status];
    if (successful) {
      say("");
    } else if (polls(event.target) && problem) {
      over = true;
      say(problem);
    } else {
      say("lost");
    }
  });
})();
