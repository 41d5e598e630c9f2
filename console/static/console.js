// Enhances the console's pages; all of them work without this script.
(() => {
  "use strict";

  const language = document.documentElement.lang;
  const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

  // For days in forms, which the server reads.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `rollcall_zone=${zone}; Path=/console/; Max-Age=31536000; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;

  // Times are sent in UTC. Show them in the reader's time zone, and in UTC to the second on hover.
  // A day is in the zone that its list names.
  const points = {
    minutes: { timeStyle: "short" },
    hours: { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" },
    days: { month: "short", day: "numeric" },
    weeks: { dateStyle: "medium" },
  };
  function localiseTimes(root) {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const list = element.closest("[data-show]");
      const show = list ? list.dataset.show : "";
      const ofZone = show === "days" || show === "weeks";
      const format = !show ? moment : new Intl.DateTimeFormat(language, { ...points[show], timeZone: ofZone ? list.dataset.zone : undefined });
      element.dataset.local = "";
      element.title ||= ofZone ? element.dateTime : element.textContent;
      element.textContent = format.format(new Date(element.dateTime)).replace(/ (?=[AP]M$)/, "\u00a0"); // stays with its number
    }
  }

  const polls = (element) => element.matches("[data-poll]");

  // A response that equals the last one, or what the page has from the beginning, is not swapped in, so
  // that it does not disturb the reader.
  const responses = new WeakMap();
  for (const element of document.querySelectorAll("[data-poll]")) responses.set(element, element.innerHTML);
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!polls(event.target) || !event.detail.shouldSwap) return;
    if (responses.get(event.target) === event.detail.serverResponse) event.detail.shouldSwap = false;
    responses.set(event.target, event.detail.serverResponse);
  });

  localiseTimes(document);

  // On a phone the tabs scroll sideways: scroll to the current one, and again after a rotation.
  for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
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

  // Choosing users: a box for all on the page, and how many are chosen. Choosing all that match ticks
  // those on the page too, and a click with Shift those since the last one. Nothing can be done to no
  // users. Another search, order or page has no ticks, and says so if there were any.
  const lostKey = "rollcall.lost";
  let ticked = !!sessionStorage.getItem(lostKey);
  sessionStorage.removeItem(lostKey);
  function offerAll() {
    const place = document.querySelector("[data-all]:empty");
    if (!place) return;
    const lost = ticked;
    const label = document.createElement("label");
    const all = document.createElement("input");
    all.type = "checkbox";
    label.className = "choice";
    label.append(all, ` ${place.dataset.all}`);
    place.append(label);
    const boxes = [...document.querySelectorAll('input[form="bulk"][name="id"]')];
    const matching = document.querySelector('input[form="bulk"][name="all"]');
    const acts = document.querySelectorAll('button[form="bulk"]:not([formmethod])');
    const chosen = document.querySelector("[data-chosen]");
    const none = chosen.textContent;
    function update() {
      const n = boxes.filter((box) => box.checked).length;
      all.checked = n === boxes.length;
      all.indeterminate = n > 0 && n < boxes.length;
      ticked = n > 0 || matching.checked;
      for (const act of acts) act.disabled = !ticked;
      chosen.textContent = !ticked ? none : matching.checked ? "" : chosen.dataset.chosen.replace("{n}", n);
    }
    function tickAll(on) {
      for (const box of boxes) box.checked = on;
    }
    all.addEventListener("change", () => {
      if (!all.checked) matching.checked = false;
      tickAll(all.checked);
      update();
    });
    matching.addEventListener("change", () => {
      tickAll(matching.checked);
      update();
    });
    let last = -1;
    for (const [i, box] of boxes.entries()) {
      box.addEventListener("click", ({ shiftKey }) => {
        if (shiftKey && last >= 0) {
          for (const other of boxes.slice(Math.min(i, last), Math.max(i, last) + 1)) other.checked = box.checked;
          getSelection().removeAllRanges();
        }
        last = i;
      });
      box.addEventListener("change", () => {
        if (!box.checked) matching.checked = false;
        update();
      });
    }
    update(); // the browser keeps ticks over a reload
    if (lost && !ticked) chosen.textContent = chosen.dataset.lost;
  }

  offerAll();
  document.addEventListener("htmx:afterSwap", offerAll);
  function leave() {
    if (ticked) sessionStorage.setItem(lostKey, "1");
  }
  document.addEventListener("click", ({ target }) => {
    if (target.closest("a")?.pathname === location.pathname) leave();
  });
  document.querySelector("form[role=search]")?.addEventListener("submit", leave);

  // A button to copy a text, such as an ID.
  for (const source of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = source.dataset.copy;
    button.addEventListener("click", async () => {
      await copy(source);
      button.textContent = source.dataset.copied;
      setTimeout(() => { button.textContent = source.dataset.copy; }, 2000);
    });
    source.after(button);
  }

  // Copies the text of an element, or of a list's items a line each. Pages that are not served over TLS
  // have no clipboard.
  async function copy(source) {
    const lines = source.matches("ol") ? [...source.children].map((item) => item.textContent) : [source.textContent];
    if (navigator.clipboard) return navigator.clipboard.writeText(lines.join("\n"));
    getSelection().selectAllChildren(source);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }

  // find returns the items that paths find for a text, and whether one of the searches failed.
  async function find(paths, text) {
    const query = new URLSearchParams({ q: text });
    const answers = await Promise.all(paths.map(async (path) => {
      try {
        const answer = await fetch(`${path}?${query}`, { headers: { Accept: "application/json" } });
        if (answer.status === 404) return []; // of an app that was deleted
        return answer.ok && !answer.redirected ? await answer.json() : null;
      } catch {
        return null;
      }
    }));
    return { items: answers.flatMap((items) => items ?? []), failed: answers.includes(null) };
  }

  // follow calls show with what search finds for the text of a field, after each pause in typing, or
  // with null if there is no text.
  function follow(field, search, show) {
    let timer;
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const text = field.value;
        const found = text.trim() ? await search(text) : null;
        if (field.value === text && document.activeElement === field) show(found);
      }, 200);
    });
    field.addEventListener("change", () => clearTimeout(timer));
  }

  // offer returns a function that shows items with a name, an ID or both in the list of a field. The
  // arrow keys choose one, and Enter or a click calls pick with it. Enter does what it did before if
  // none is chosen; first is true if the first one is from the beginning. Without items, the line after
  // the list has the reason, which is announced.
  function offer(field, list, first, pick) {
    let items = [];
    let chosen = -1;
    const choose = (at) => {
      chosen = at;
      for (const [i, option] of [...list.children].entries()) option.setAttribute("aria-selected", i === at);
      field.setAttribute("aria-activedescendant", list.children[at]?.id ?? "");
      list.children[at]?.scrollIntoView({ block: "nearest" });
    };
    field.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && items.length) choose(((step < 0 && chosen < 0 ? 0 : chosen) + step + items.length) % items.length);
      else if (event.key === "Enter" && items[chosen]) pick(items[chosen]);
      else return;
      event.preventDefault();
    });
    // The field keeps the focus.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    const line = list.nextElementSibling;
    return (shown, reason = "") => {
      items = shown;
      line.textContent = items.length ? "" : reason;
      list.replaceChildren(...items.map((item, i) => {
        const { id, name } = item;
        const option = document.createElement("li");
        option.id = `${list.id}-${i}`;
        option.role = "option";
        const label = document.createElement("bdi");
        label.textContent = name || id;
        option.append(label);
        if (id && name) {
          const code = document.createElement("code");
          code.textContent = id;
          option.append(" ", code);
        }
        option.addEventListener("click", () => pick(item));
        return option;
      }));
      list.hidden = !items.length;
      field.setAttribute("aria-expanded", !list.hidden);
      choose(first && items.length ? 0 : -1);
    };
  }

  // Where an ID is asked for, it can be picked by name. A path with {app} is for the app that the form
  // chooses, or for its only app.
  for (const field of document.querySelectorAll("input[data-find]")) {
    const list = document.createElement("ul");
    list.id = `${field.id}-found`;
    list.className = "found";
    list.role = "listbox";
    list.ariaLabel = field.dataset.found;
    const line = document.createElement("p");
    line.className = "unfound";
    line.ariaLive = "polite";
    field.after(list, line);
    field.role = "combobox";
    field.placeholder = field.dataset.hint;
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-controls", list.id);
    const show = offer(field, list, false, ({ id }) => {
      field.value = id;
      field.dispatchEvent(new Event("change"));
      show([]);
    });
    const app = () => {
      const select = field.form.elements.app;
      if (!select || select.value) return select?.value;
      const keys = [...select.options].map(({ value }) => value).filter(Boolean);
      return keys.length === 1 ? keys[0] : "";
    };
    const paths = field.dataset.find.split(" ");
    const open = () => paths.filter((path) => app() || !path.includes("{app}"));
    follow(field, (text) => find(open().map((path) => path.replace("{app}", app())), text), (found) => {
      const { failed, choose, none } = field.dataset;
      show(found?.items ?? [], found && (found.failed ? failed : open().length < paths.length ? choose : none));
    });
    field.addEventListener("blur", () => show([]));
    field.addEventListener("keydown", ({ key }) => { if (key === "Escape") show([]); });
    show([]);
  }

  // Ctrl-K opens a palette of pages, apps and users; "/" goes to the search, "?" lists the shortcuts.
  const palette = document.getElementById("palette");
  const shortcuts = document.getElementById("shortcuts");
  if (palette) {
    const [field, list] = palette.children;
    const { root, app, failed, none } = palette.dataset;
    const pages = [...document.querySelectorAll("header nav a, nav.tabs a")].map((link) => ({ name: link.textContent, path: link.href }));
    const show = offer(field, list, true, ({ path }) => location.assign(path));
    // The browser would clear the field first.
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      palette.close();
    });
    const matching = () => pages.filter(({ name }) => name.toLowerCase().includes(field.value.trim().toLowerCase()));
    field.addEventListener("input", () => show(matching()));
    const paths = [root, app && `${app}/`].filter(Boolean).map((path) => `${path}find`);
    follow(field, (text) => find(paths, text), (found) => {
      show([...matching(), ...found?.items ?? []], found && (found.failed ? failed : none));
    });
    for (const dialog of [palette, shortcuts]) {
      dialog.addEventListener("click", ({ target }) => { if (target === dialog) dialog.close(); });
    }
    const hint = document.querySelector('[data-shows="shortcuts"]');
    hint.hidden = false;
    hint.addEventListener("click", () => shortcuts.showModal());
    document.addEventListener("keydown", (event) => {
      const { key, target } = event;
      if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && key.toLowerCase() === "k") {
        if (target.closest(".graphiql-container") || document.querySelector("dialog[open]")) return;
        event.preventDefault();
        field.value = "";
        show(pages);
        palette.showModal();
        return;
      }
      const typing = target.closest("input, textarea, select, [contenteditable], .graphiql-container, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (key === "?") shortcuts.showModal();
      const search = document.querySelector("form[role=search] input");
      if (key === "/" && search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    });
  }

  // A menu closes with Escape, and when something outside of it is clicked.
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", ({ target }) => {
    for (const menu of menus()) if (!menu.contains(target)) menu.open = false;
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.firstElementChild.focus();
    }
  });

  // Entering a length chooses it, and choosing another length clears what was entered.
  for (const own of document.querySelectorAll("[data-own]")) {
    const radio = own.querySelector('input[type="radio"]');
    own.addEventListener("input", () => { radio.checked = true; });
    own.closest("fieldset").addEventListener("change", () => {
      if (!radio.checked) own.querySelector('input:not([type="radio"])').value = "";
    });
  }

  // Ticking a type chooses "only these", and choosing all unticks the types.
  for (const group of document.querySelectorAll("[data-some]")) {
    const boxes = group.querySelectorAll('input[type="checkbox"]');
    group.addEventListener("change", ({ target }) => {
      if (target.type === "checkbox") group.querySelector('input[value="some"]').checked = true;
      else if (target.value === "all") for (const box of boxes) box.checked = false;
    });
  }

  // Pages poll unless they are hidden, the session has ended or their subject no longer exists.
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
      event.detail.parameters.zone = zone;
    }
  });

  // Show a notice while the server cannot be reached. The poll of what is away finds that out; others
  // fail also while the database is away.
  const away = document.getElementById("away");
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
    } else if (event.target === away || !polls(event.target)) {
      say("lost");
    }
  });
})();
