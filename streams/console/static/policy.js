// The editor of a policy file: line numbers, marked faults, Tab, the cursor's place, and what is not saved yet.
"use strict";
(() => {
  const editor = document.querySelector("[data-editor]");
  if (!editor) return;
  const area = editor.querySelector("textarea");
  const gutter = editor.querySelector(".gutter");
  const check = document.getElementById("policy-check");
  const place = document.querySelector("[data-place]");
  const unsaved = document.querySelector("[data-unsaved]");
  const form = area.form;
  const proposing = document.querySelector("[data-proposing]");
  let saved = area.value;
  let faults = new Set();
  let leaving = false;

  const numbers = () => {
    const count = area.value.split("\n").length;
    if (gutter.childElementCount !== count) {
      const lines = [];
      for (let line = 1; line <= count; line += 1) {
        const one = document.createElement("span");
        one.textContent = `${line}\n`;
        lines.push(one);
      }
      gutter.replaceChildren(...lines);
    }
    [...gutter.children].forEach((one, at) => one.classList.toggle("faulty", faults.has(at + 1)));
    gutter.scrollTop = area.scrollTop;
  };
  const where = () => {
    const before = area.value.slice(0, area.selectionStart);
    const line = before.split("\n").length;
    const column = [...before.slice(before.lastIndexOf("\n") + 1)].length + 1;
    place.textContent = `${line}:${column}`;
  };
  const marks = () => {
    const same = area.value === saved;
    if (unsaved) unsaved.hidden = same;
    // What is proposed is the file as it was saved.
    if (proposing) {
      proposing.querySelector("button").disabled = !same;
      proposing.querySelector("[data-save-first]").hidden = same;
    }
  };
  const offsetOf = (line, column) => {
    const lines = area.value.split("\n");
    const at = Math.min(line, lines.length) - 1;
    // Columns count code points, the field counts UTF-16 units.
    const text = [...lines[at]].slice(0, column - 1).join("");
    return lines.slice(0, at).reduce((sum, one) => sum + one.length + 1, 0) + text.length;
  };
  const go = (line, column) => {
    const at = offsetOf(line, column);
    area.focus();
    area.setSelectionRange(at, at);
    const height = parseFloat(getComputedStyle(area).lineHeight);
    area.scrollTop = Math.max(0, (line - 4) * height);
    where();
  };

  area.addEventListener("input", () => { numbers(); where(); marks(); });
  area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
  document.addEventListener("selectionchange", () => { if (document.activeElement === area) where(); });
  area.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      leaving = true;
      event.stopPropagation();  // the page's Escape would leave the field at once
    } else if (event.key === "Tab" && !leaving && !event.shiftKey && !area.readOnly) {
      event.preventDefault();
      const line = area.value.slice(0, area.selectionStart).split("\n").pop();
      // `insertText` keeps the browser's undo.
      document.execCommand("insertText", false, " ".repeat(2 - (line.length % 2)));
    } else if (event.key !== "Tab" && event.key !== "Shift") {
      leaving = false;
    }
  });
  area.addEventListener("blur", () => { leaving = false; });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s" && unsaved) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  check.addEventListener("click", (event) => {
    const fault = event.target.closest("[data-line]");
    if (fault) go(Number(fault.dataset.line), Number(fault.dataset.column));
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== check) return;
    const found = [...check.querySelectorAll("[data-line]")];
    faults = new Set(found.map((one) => Number(one.dataset.line)));
    area.setAttribute("aria-invalid", found.length > 0);
    document.getElementById("check-summary").textContent = check.querySelector(".notice")?.textContent.trim() || "";
    numbers();
  });
  let sent = saved;
  form.addEventListener("htmx:beforeRequest", (event) => { if (event.target === form) sent = area.value; });
  form.addEventListener("htmx:afterRequest", (event) => {
    if (event.target === form && event.detail.successful) {
      saved = sent;
      marks();
      if (proposing) proposing.querySelector("[data-revision]").value = document.getElementById("revision").value;
      document.body.dispatchEvent(new CustomEvent("policy:saved"));
    }
  });
  addEventListener("beforeunload", (event) => { if (unsaved && area.value !== saved) event.preventDefault(); });
  proposing?.querySelector("[data-from]").addEventListener("input", () => {
    proposing.querySelector("[value=at]").checked = true;
  });
  numbers();
  where();
})();
