// Comfort for the console's pages, which work without it: keys, selections, heartbeats. All scripts of this folder are
// sent as one file and have 300 lines together. What a page offers stands in its attributes, never in here:
//   data-key="c"            a button, link or field that a key presses or focuses; "g c" is two keys, one after the other
//   data-key-text="…"       what the list of keys says, where the element's own words do not say it
//   data-list               around rows with a [data-row-link] each: j and k move, Enter opens, x ticks
//   data-heartbeat="URL"    is asked every minute; when it refuses, [data-lease-lost] is shown, [data-needs-lease] stops
//   data-look              holds a picture that was asked for; [data-look-hide], its form, tells how long it was on the screen
//   data-check-all          ticks every box of its form; [data-checked-count] says how many, [data-needs-checked] waits
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const isUsable = (element) => element.checkVisibility() && !element.disabled;

  // Keys ---------------------------------------------------------------------------------------------------------

  const SEQUENCE_MS = 1500;
  const OFF = "baken-keys-off";
  let pending = "";
  let pendingSince = 0;

  const isTyping = (element) =>
    element.isContentEditable ||
    element.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=submit], [type=button])");

  const press = (element) => {
    if (element.matches("input, select, textarea")) element.focus();
    else element.click();
  };

  const wordsOf = (element) =>
    element.dataset.keyText || element.getAttribute("aria-label") || element.textContent.trim().replace(/\s+/g, " ");

  const move = (list, step) => {
    const links = all("[data-row-link]", list);
    const row = document.activeElement.closest("[data-list] > *");
    const now = links.findIndex((link) => row !== null && row.contains(link));
    const next = links[now < 0 ? 0 : Math.min(Math.max(now + step, 0), links.length - 1)];
    if (next) {
      next.focus();
      next.closest("[data-list] > *").scrollIntoView({ block: "nearest" });
    }
  };

  const tick = () => {
    const row = document.activeElement.closest("[data-list] > *");
    const box = row && row.querySelector("input[type=checkbox]");
    if (box) box.click();
  };

  const closeMenus = (target) => {
    for (const menu of all("details.menu[open], details.why[open]")) if (!menu.contains(target)) menu.open = false;
  };

  const inList = (key) => {
    const list = document.querySelector("[data-list]");
    if (list === null) return false;
    if (key === "j") move(list, 1);
    else if (key === "k") move(list, -1);
    else if (key === "x") tick();
    else return false;
    return true;
  };

  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]") !== null) return;
    const isCharacter = event.key.length === 1;
    if (isCharacter && (isTyping(event.target) || localStorage.getItem(OFF))) return;
    if (!isCharacter && event.key !== "Escape") return; // Enter, Tab and the like do what they do everywhere
    const sequence = event.timeStamp - pendingSince < SEQUENCE_MS && pending ? `${pending} ${event.key}` : event.key;
    const keyed = all("[data-key]").filter(isUsable);
    const found =
      keyed.find((element) => element.dataset.key === sequence) ||
      keyed.find((element) => element.dataset.key === event.key);
    pending = "";
    if (found) press(found);
    else if (!isCharacter) closeMenus(null);
    else if (keyed.some((element) => element.dataset.key.startsWith(`${event.key} `))) {
      pending = event.key;
      pendingSince = event.timeStamp;
    } else if (!inList(event.key)) return;
    event.preventDefault();
  };

  const showKeys = () => {
    const dialog = document.getElementById("keys");
    const list = dialog.querySelector("[data-keys-list]");
    const known = new Map();
    for (const element of all("[data-list]")) {
      known.set("j", element.dataset.textNext).set("k", element.dataset.textPrevious);
      known.set("Enter", element.dataset.textOpen);
      if (element.querySelector("input[type=checkbox]")) known.set("x", element.dataset.textTick);
    }
    for (const element of all("[data-key]").filter(isUsable)) known.set(element.dataset.key, wordsOf(element));
    list.replaceChildren();
    for (const [keys, words] of known) {
      const term = list.appendChild(document.createElement("dt"));
      for (const key of keys.split(" ")) term.appendChild(document.createElement("kbd")).textContent = key;
      list.appendChild(document.createElement("dd")).textContent = words;
    }
    dialog.showModal();
  };

  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => closeMenus(event.target));
  for (const button of all("[data-show-keys]")) {
    button.hidden = false;
    button.addEventListener("click", showKeys);
  }
  for (const box of all("[data-keys-on]")) {
    box.checked = !localStorage.getItem(OFF);
    box.addEventListener("change", () => {
      if (box.checked) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "yes");
    });
  }

  // Selections ---------------------------------------------------------------------------------------------------

  const boxesOf = (form) => all("[data-list] input[type=checkbox]", form);

  const count = (form) => {
    const boxes = boxesOf(form);
    const checked = boxes.filter((box) => box.checked).length;
    for (const shown of all("[data-checked-count]", form)) shown.textContent = checked;
    for (const button of all("[data-needs-checked]", form)) button.disabled = checked === 0;
    for (const box of all("[data-check-all]", form)) {
      box.checked = checked > 0 && checked === boxes.length;
      box.indeterminate = checked > 0 && checked < boxes.length;
    }
  };

  const prepare = () => {
    for (const box of all("[data-check-all]")) {
      box.hidden = false;
      count(box.form);
    }
  };

  document.addEventListener("change", (event) => {
    if (event.target.type !== "checkbox" || event.target.form === null) return;
    if ("checkAll" in event.target.dataset) {
      for (const box of boxesOf(event.target.form)) box.checked = event.target.checked;
    }
    count(event.target.form);
  });
  window.addEventListener("pageshow", prepare); // a page that is gone back to has kept its boxes

  // A form is sent once, however often its button is pressed ------------------------------------------------------

  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post" || "repeatable" in event.target.dataset) return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

  // What htmx could not fetch is said, and what it fetched is made ready ------------------------------------------

  const failed = (isFailed) => () => all("[data-failed]").forEach((message) => (message.hidden = !isFailed));
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, failed(true));
  }
  document.addEventListener("htmx:beforeRequest", failed(false));
  document.addEventListener("htmx:afterSettle", prepare);

  // A picture that was asked for is gone at once when it is hidden, and its time on the screen is told ---------------

  for (const look of all("[data-look]")) {
    const form = look.querySelector("[data-look-hide]");
    let shownMs = 0;
    let since = document.visibilityState === "visible" ? performance.now() : null;
    const count = () => {
      if (since !== null) shownMs += performance.now() - since;
      since = document.visibilityState === "visible" ? performance.now() : null;
    };
    const tell = (extra) => {
      count();
      const fields = new FormData(form);
      fields.set("shown_seconds", (shownMs / 1000).toFixed(1));
      for (const [name, value] of Object.entries(extra)) fields.set(name, value);
      return new URLSearchParams(fields);
    };
    form.addEventListener("submit", () => {
      const seconds = Object.assign(document.createElement("input"), { type: "hidden", name: "shown_seconds" });
      seconds.value = tell({}).get("shown_seconds");
      form.append(seconds);
      look.querySelector("img").remove();
      look.dataset.look = "hidden";
    });
    const address = new URL(location.href); // a page that is loaded again does not show it again
    address.searchParams.delete("reveal");
    history.replaceState(history.state, "", address);
    document.addEventListener("visibilitychange", count);
    window.addEventListener("pagehide", () => {
      if (look.dataset.look !== "hidden") navigator.sendBeacon(form.action, tell({ leaves: "yes" }));
      look.remove(); // a page that is gone back to shows it no more
    });
  }

  // Heartbeats of a claimed case ----------------------------------------------------------------------------------

  const HEARTBEAT_MS = 60_000;

  const beat = async (element) => {
    const token = document.querySelector("input[name=form_token]").value;
    const body = new URLSearchParams({ form_token: token });
    let answer;
    try {
      answer = await fetch(element.dataset.heartbeat, { method: "POST", body, redirect: "manual" });
    } catch {
      return; // no connection at the moment: the lease runs longer than that
    }
    if (answer.ok || answer.status >= 500) return;
    element.dataset.lease = "lost";
    for (const message of all("[data-lease-lost]")) message.hidden = false;
    for (const button of all("[data-needs-lease]")) button.disabled = true;
  };

  const beatAll = () => all("[data-heartbeat]:not([data-lease=lost])").forEach(beat);
  setInterval(beatAll, HEARTBEAT_MS);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") beatAll(); // timers of hidden pages are slowed down
  });
})();
