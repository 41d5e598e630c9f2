// Starts GraphiQL against this server: queries and mutations over HTTP,
// subscriptions over WebSocket, both with what stands in the headers pane.
(() => {
  "use strict";

  const place = document.getElementById("explorer");
  const endpoint = new URL(place.dataset.endpoint, location.href);
  const socket = new URL(endpoint);
  socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";

  const send = GraphiQL.createFetcher({ url: endpoint.href, subscriptionUrl: socket.href });

  // A token that was not filled in yet must not turn a guest away.
  function fetcher(params, options = {}) {
    const headers = Object.entries(options.headers || {})
      .filter(([name, value]) => name.toLowerCase() !== "authorization" || /^Bearer\s+\S/i.test(value));
    return send(params, { ...options, headers: Object.fromEntries(headers) });
  }

  // GraphiQL's editors come without names and cannot all be scrolled by keyboard.
  function name(root) {
    for (const area of root.querySelectorAll("textarea:not([aria-label])")) {
      const section = area.closest("[aria-label]");
      area.setAttribute("aria-label", section && section !== place ? section.getAttribute("aria-label") : "Editor");
    }
    for (const scroller of root.querySelectorAll('.CodeMirror-scroll[tabindex="-1"]')) scroller.tabIndex = 0;
  }
  new MutationObserver(() => name(place)).observe(place, { childList: true, subtree: true });

  ReactDOM.createRoot(place).render(React.createElement(GraphiQL, {
    fetcher,
    defaultHeaders: '{"Authorization": "Bearer "}',
    headers: place.dataset.headers, // with the token that was just made; else none
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
    defaultQuery: "query Hello {\n  __typename\n}\n",
  }));
})();
