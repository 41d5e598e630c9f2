// Makes and uses passkeys (WebAuthn). Pages offer them only with this script; without it, operators
// use codes.
(() => {
  "use strict";

  if (!window.PublicKeyCredential) return;

  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const ids = (list) => (list ?? []).map((entry) => ({ ...entry, id: bytes(entry.id) }));

  // Asks the browser for a passkey, and returns its response as the server reads it.
  async function ask(kind, options) {
    const publicKey = { ...options, challenge: bytes(options.challenge) };
    if (kind === "create") {
      publicKey.user = { ...options.user, id: bytes(options.user.id) };
      publicKey.excludeCredentials = ids(options.excludeCredentials);
    } else {
      publicKey.allowCredentials = ids(options.allowCredentials);
    }
    const credential = await navigator.credentials[kind]({ publicKey });
    const response = { clientDataJSON: text(credential.response.clientDataJSON) };
    for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[part]) response[part] = text(credential.response[part]);
    }
    return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response };
  }

  for (const place of document.querySelectorAll("[data-passkey]")) {
    const field = place.querySelector("input");
    const button = place.querySelector("button");
    const failed = place.querySelector("[role=alert]");
    place.hidden = false;
    button.addEventListener("click", async () => {
      const { form } = field;
      if (place.dataset.passkey === "create" && !form.reportValidity()) return;
      button.disabled = true;
      failed.hidden = true;
      try {
        field.value = JSON.stringify(await ask(place.dataset.passkey, JSON.parse(place.dataset.options)));
        form.submit();
      } catch {
        failed.hidden = false; // it was cancelled, or there is none
        button.disabled = false;
      }
    });
  }
})();
