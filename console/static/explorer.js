// Starts GraphiQL against this server. Queries and mutations use HTTP, subscriptions WebSocket, both
// with the contents of the Headers pane.
(() => {
  "use strict";

  const place = document.getElementById("explorer");
  const endpoint = new URL(place.dataset.endpoint, location.href);
  const socket = new URL(endpoint);
  socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";

  const send = GraphiQL.createFetcher({ url: endpoint.href, subscriptionUrl: socket.href });

  // Leave out an Authorization header without a token, which the server would refuse.
  function fetcher(params, options = {}) {
    if (params.operationName !== "IntrospectionQuery") showResponse();
    const headers = Object.entries(options.headers || {})
      .filter(([name, value]) => name.toLowerCase() !== "authorization" || /^Bearer\s+\S/i.test(value));
    return send(params, { ...options, headers: Object.fromEntries(headers) });
  }

  // If the panes are stacked, the response is below the visible part of the page: scroll to it.
  function showResponse() {
    const pane = place.querySelector(".graphiql-response");
    if (pane.getBoundingClientRect().top > innerHeight / 2) pane.scrollIntoView({ block: "nearest" });
  }

  // false leaves a key to the browser: Tab moves the focus out of an editor, as from any field.
  // Ctrl-[ and Ctrl-] still indent.
  const leavesTab = { Tab: false, "Shift-Tab": false };

  // The editors below the query's: variables, then headers. One of them is hidden, and their section
  // is labelled after the other.
  const toolEditors = ".graphiql-editor-tool > .graphiql-editor";

  // GraphiQL's editors have no accessible names, and they capture Tab.
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

  // Send the headers with the form, so that a page that refuses a token can show them again.
  document.getElementById("token")?.addEventListener("formdata", ({ formData }) => {
    const editor = place.querySelectorAll(toolEditors)[1]?.querySelector(".CodeMirror")?.CodeMirror;
    if (editor) formData.set("headers", editor.getValue());
  });

  ReactDOM.createRoot(place).render(React.createElement(GraphiQL, {
    fetcher,
    defaultHeaders: '{"Authorization": "Bearer "}',
    headers: place.dataset.headers, // the token that was just made, or the previous text, if any
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
    defaultQuery: "query Hello {\n  __typename\n}\n",
  }));
})();
