// Asks the browser for a security key (WebAuthn level 3, 5.1.3 and 5.1.4) and posts what it answers. Nothing else runs.
"use strict";
(() => {
  const form = document.getElementById("ceremony");
  const ask = document.getElementById("ask");
  const failed = document.getElementById("failed");
  const bytes = (text) => {
    const plain = text.replace(/-/g, "+").replace(/_/g, "/");
    return Uint8Array.from(atob(plain), (one) => one.charCodeAt(0));
  };
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const creates = form.dataset.use === "create";
  const options = JSON.parse(form.dataset.options);
  options.challenge = bytes(options.challenge);
  if (options.user) options.user.id = bytes(options.user.id);
  for (const one of [...(options.allowCredentials || []), ...(options.excludeCredentials || [])]) one.id = bytes(one.id);

  const use = async () => {
    failed.hidden = true;
    ask.disabled = true;
    try {
      const found = await (creates
        ? navigator.credentials.create({ publicKey: options })
        : navigator.credentials.get({ publicKey: options }));
      const said = found.response;
      const response = { clientDataJSON: text(said.clientDataJSON) };
      if (creates) {
        response.attestationObject = text(said.attestationObject);
      } else {
        response.authenticatorData = text(said.authenticatorData);
        response.signature = text(said.signature);
        if (said.userHandle) response.userHandle = text(said.userHandle);
      }
      document.getElementById("credential").value = JSON.stringify({
        id: found.id, rawId: text(found.rawId), type: found.type, clientExtensionResults: {}, response,
      });
      form.submit();
    } catch {
      failed.hidden = false;
      ask.disabled = false;
    }
  };
  ask.addEventListener("click", use);
  if (!creates) use();
})();
