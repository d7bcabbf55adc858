// The behaviour that all pages share: keys, dialogs, toasts, language, theme, time zone, and news of the server.
// A page says what it wants by data attributes; nothing here knows a page.
"use strict";
(() => {
  const root = document.documentElement;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const setCookie = (name, value) => { document.cookie = `${name}=${value}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`; };
  const cookie = (name) => document.cookie.split("; ").find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);

  // The reader's zone: the server writes all times in it.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && cookie("zone") !== zone) {
    setCookie("zone", zone);
    if (document.body.dataset.events && cookie("zone")) location.reload();
  }

  // Language: a page in the other one. Theme: as the system, light, dark.
  $("#language").addEventListener("click", (event) => {
    setCookie("lang", event.currentTarget.dataset.language);
    location.reload();
  });
  const themes = ["auto", "light", "dark"];
  $("#theme").addEventListener("click", (event) => {
    const next = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
    const button = event.currentTarget;
    setCookie("theme", next);
    root.dataset.theme = next;
    $("meta[name=color-scheme]").content = next === "auto" ? "light dark" : next;
    button.title = button.dataset[next];
    button.setAttribute("aria-label", button.dataset[next]);
    dispatchEvent(new Event("themechange"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));

  // Toasts.
  const toast = (kind, text) => {
    const made = $("#toast").content.cloneNode(true).firstElementChild;
    made.classList.add(kind || "info");
    $("span", made).textContent = text;
    $("button", made).addEventListener("click", () => made.remove());
    $("#toasts").append(made);
    if (kind !== "bad") setTimeout(() => made.remove(), 8000);
  };
  document.body.addEventListener("toast", (event) => toast(event.detail.kind, event.detail.text));
  const failed = (text) => toast("bad", $("#failed-text").dataset[text]);
  document.body.addEventListener("htmx:sendError", () => failed("offline"));
  document.body.addEventListener("htmx:responseError", (event) => {
    const { status } = event.detail.xhr;
    if (status === 401) failed("signedOut");
    else if (!event.detail.xhr.getResponseHeader("HX-Trigger")) failed("failed");
  });

  // Dialogs. `data-opens` names the dialog, `data-closes` stands inside it.
  document.addEventListener("click", (event) => {
    const opens = event.target.closest("[data-opens]");
    const closes = event.target.closest("[data-closes]");
    if (opens) open(opens.dataset.opens);
    if (closes) closes.closest("dialog").close();
    if (event.target instanceof HTMLDialogElement && outside(event.target, event)) event.target.close();
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  const outside = (dialog, event) => {
    const box = dialog.getBoundingClientRect();
    return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
  };
  const open = (id) => {
    const dialog = document.getElementById(id);
    if (id === "help") listKeys();
    if (!dialog.open) dialog.showModal();
    $("[autofocus]", dialog)?.focus();
  };
  // A field that is of use only with a choice makes that choice: `data-checks` names the radio button.
  document.addEventListener("change", (event) => {
    const chosen = event.target.dataset?.checks;
    if (chosen) document.getElementById(chosen).checked = true;
  });
  // A form that asks first: its dialog has a button with `data-confirms`.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const asks = form.dataset.confirm;
    if (!asks || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const dialog = document.getElementById(asks);
    const { submitter } = event;
    $("[data-confirms]", dialog).onclick = () => {
      form.dataset.confirmed = "yes";
      dialog.close();
      form.requestSubmit(submitter);
      delete form.dataset.confirmed;
    };
    dialog.showModal();
  }, true);

  // Keys. `data-key` on what is clicked or focused; `data-row` on what j and k move over; g and a letter: a page.
  const visible = (element) => element.checkVisibility() && !element.disabled;
  const typing = (element) => element.isContentEditable || element.matches("input:not([type=checkbox], [type=radio], [type=button], [type=submit]), select, textarea");
  const rows = () => $$("[data-row]").filter(visible);
  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("chosen"));
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    for (const row of all) row.classList.toggle("chosen", row === next);
    next.scrollIntoView({ block: "nearest" });
    $("a, button, input", next)?.focus({ preventScroll: true });
  };
  const listKeys = () => {
    const list = $("[data-keys]");
    for (const old of $$("[data-listed]", list)) old.remove();
    for (const element of $$("[data-key]")) {
      const key = document.createElement("dt");
      const means = document.createElement("dd");
      key.dataset.listed = means.dataset.listed = "";
      key.append(Object.assign(document.createElement("kbd"), { textContent: element.dataset.key }));
      means.textContent = element.dataset.keyLabel || element.getAttribute("aria-label") || element.textContent.trim();
      list.append(key, means);
    }
  };
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && typing(event.target)) event.target.blur();
    const dialog = $("dialog[open]");
    if (typing(event.target)) return;
    if (going) {
      going = false;
      const link = $$("[data-go]").find((one) => one.dataset.go === event.key);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const within = dialog || document;
    const pressed = $$("[data-key]", within).find((one) => one.dataset.key === event.key && visible(one));
    if (pressed) {
      event.preventDefault();
      if (typing(pressed)) { pressed.focus(); pressed.select?.(); } else pressed.click();
    } else if (dialog) {
      return;
    } else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "g") going = true;
    else if (event.key === "Enter" && !event.target.closest("a, button, summary")) $("[data-row].chosen a")?.click();
  });

  // `data-inserts` names the field that gets the button's `data-text` at the cursor, to be edited and sent as it is then.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-inserts]");
    if (!button) return;
    const field = document.getElementById(button.dataset.inserts);
    const { selectionStart: from, selectionEnd: to, value } = field;
    const before = value.slice(0, from);
    const gap = before && !/\s$/.test(before) ? " " : "";
    field.focus();
    field.setRangeText(gap + button.dataset.text, from, to, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // A choice of a filter applies at once.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto]");
    if (form && event.target.matches("select, input[type=checkbox], input[type=radio]")) form.requestSubmit();
  });

  // News: the server names what changed, and what waits for `changed:NAME` asks again.
  const { events } = document.body.dataset;
  if (events && $("[hx-trigger*='changed:']")) {
    let source;
    const listen = () => {
      source = new EventSource(events);
      source.addEventListener("changed", (event) => document.body.dispatchEvent(new CustomEvent(`changed:${event.data}`)));
      // A browser connects again by itself, but not after an answer such as 503.
      source.addEventListener("error", () => source.readyState === EventSource.CLOSED && setTimeout(listen, 30000));
    };
    listen();
    addEventListener("pagehide", () => source.close());
  }
})();
