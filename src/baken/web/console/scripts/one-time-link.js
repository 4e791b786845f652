// The code of a one-time link stands behind the # of its address, which browsers send to nobody: it goes into the field,
// and out of the address, so that it stays neither on the screen nor in the history.
(() => {
  const field = document.querySelector("[data-code-form] input[name=code]");
  const code = location.hash.slice(1);
  if (field === null || code === "") return;
  field.value = code;
  history.replaceState(null, "", location.pathname);
})();
