/* Passkeys: asks the device for one, and sends what it says with the form that asked. */

const decode = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

const encode = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

const decodeIds = (list) => list?.map((one) => ({ ...one, id: decode(one.id) }));

/** What the server offers, as the browser takes it (https://www.w3.org/TR/webauthn-3/). */
function readable({ publicKey }) {
  const options = { ...publicKey, challenge: decode(publicKey.challenge) };
  options.excludeCredentials = decodeIds(publicKey.excludeCredentials);
  options.allowCredentials = decodeIds(publicKey.allowCredentials);
  if (publicKey.user) options.user = { ...publicKey.user, id: decode(publicKey.user.id) };
  return options;
}

/** What the device answered, as the server reads it. */
function sendable(credential) {
  const response = {};
  const names = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  for (const name of names) {
    if (credential.response[name]) response[name] = encode(credential.response[name]);
  }
  return JSON.stringify({
    id: credential.id,
    rawId: encode(credential.rawId),
    type: credential.type,
    clientExtensionResults: credential.getClientExtensionResults(),
    response,
  });
}

const given = () => JSON.parse(document.getElementById("passkey-options").textContent);

const ceremonies = {
  create() {
    const publicKey = readable(given().creation_options);
    publicKey.authenticatorSelection = {
      ...publicKey.authenticatorSelection,
      residentKey: "required",
      requireResidentKey: true,
      userVerification: "required",
    };
    return navigator.credentials.create({ publicKey });
  },
  get: () => navigator.credentials.get({ publicKey: readable(given().request_options) }),
  async login(form) {
    const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const { request_options: options } = await answer.json();
    return navigator.credentials.get({ publicKey: readable(options) });
  },
};

const WORDS = {
  NotAllowedError: "Nothing was done: the passkey was not confirmed. Try again, or take another way.",
  InvalidStateError: "This device has a passkey for your account already.",
};
const OTHERWISE = "That did not work on this device. Take another way, or try again later.";

async function ask(form) {
  const words = form.querySelector("[data-passkey-words]");
  const button = form.querySelector("button");
  words.textContent = "";
  button.disabled = true;
  try {
    form.elements.credential.value = sendable(await ceremonies[form.dataset.passkey](form));
    form.submit();
  } catch (error) {
    words.textContent = WORDS[error.name] ?? OTHERWISE;
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  // Nothing to offer: a browser without passkeys, or a page that is not served securely.
  form.hidden = !window.PublicKeyCredential;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
}
// Back from the next page, the button works again.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[data-passkey] button")) button.disabled = false;
});
