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
    if (params.operationName !== "IntrospectionQuery") showResponse();
    const headers = Object.entries(options.headers || {})
      .filter(([name, value]) => name.toLowerCase() !== "authorization" || /^Bearer\s+\S/i.test(value));
    return send(params, { ...options, headers: Object.fromEntries(headers) });
  }

  // Where the panes stand one below the other, the answer comes below the window.
  function showResponse() {
    const pane = place.querySelector(".graphiql-response");
    if (pane.getBoundingClientRect().top > innerHeight / 2) pane.scrollIntoView({ block: "nearest" });
  }

  // false leaves a key to the browser: Tab goes on from an editor as from any field.
  // Ctrl-[ and Ctrl-] still indent.
  const leavesTab = { Tab: false, "Shift-Tab": false };

  // The places of the editors below the query's: of variables, then of headers. One
  // of them is hidden, and their section has the name of the other.
  const toolEditors = ".graphiql-editor-tool > .graphiql-editor";

  // GraphiQL's editors come without names, and keep Tab to themselves.
  function open() {
    const tools = [...place.querySelectorAll(toolEditors)];
    for (const wrapper of place.querySelectorAll(".CodeMirror")) {
      const editor = wrapper.CodeMirror;
      if (editor.state.keyMaps.includes(leavesTab)) continue;
      editor.addKeyMap(leavesTab);
      const index = tools.findIndex((tool) => tool.contains(wrapper));
      const name = index < 0 ? wrapper.closest("[aria-label]").getAttribute("aria-label") : ["Variables", "Headers"][index];
      editor.getInputField().setAttribute("aria-label", name);
    }
  }
  new MutationObserver(open).observe(place, { childList: true, subtree: true });

  // The page that refuses a token gets the headers back, which no place keeps.
  document.getElementById("token")?.addEventListener("formdata", ({ formData }) => {
    const editor = place.querySelectorAll(toolEditors)[1]?.querySelector(".CodeMirror")?.CodeMirror;
    if (editor) formData.set("headers", editor.getValue());
  });

  ReactDOM.createRoot(place).render(React.createElement(GraphiQL, {
    fetcher,
    defaultHeaders: '{"Authorization": "Bearer "}',
    headers: place.dataset.headers, // the token that was just made, or what stood there; else none
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
    defaultQuery: "query Hello {\n  __typename\n}\n",
  }));
})();
