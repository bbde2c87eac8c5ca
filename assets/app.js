"use strict";

let numLabels = 0;

// Gradio's groups of radio buttons and its upload fields show their names without saying them to screen readers.
function nameGroups() {
  const labels = "fieldset > [data-testid=block-info]:not([id]), label[data-testid=block-label]:not([id])";
  for (const label of document.querySelectorAll(labels)) {
    const group = label.closest(".block");
    label.id = `label-${++numLabels}`; // many a group has no id of its own
    group.setAttribute("role", group.querySelector("[type=radio]") ? "radiogroup" : "group");
    group.setAttribute("aria-labelledby", label.id);
  }
  // The camera's button goes on saying that it starts when it stops.
  for (const button of document.querySelectorAll("#recording button[aria-label='start recording']")) {
    if (button.textContent.trim()) button.removeAttribute("aria-label");
  }
  // The button that adds files holds another one, which does it; keys reached both, and the outer one did nothing.
  for (const inner of document.querySelectorAll("button button")) {
    const outer = inner.parentElement.closest("button");
    inner.tabIndex = -1;
    inner.ariaHidden = "true";
    outer.ariaLabel = outer.title = "Add files";
    outer.onclick = ({ target }) => { if (!inner.contains(target)) inner.click(); };
  }
  // Which of several files a link or a button is about was only to be seen.
  document.querySelectorAll("tr.file").forEach((row, number) => {
    const [name, link, remove] = [".filename", ".download-link", ".label-clear-button"].map((part) => row.querySelector(part));
    name.id = `file-${number}`;
    link?.setAttribute("aria-labelledby", `${name.id} ${link.id = `${name.id}-link`}`);
    if (!remove) return;
    remove.ariaLabel = "Remove";
    remove.setAttribute("aria-labelledby", `${remove.id = `${name.id}-remove`} ${name.id}`);
  });
}
new MutationObserver(nameGroups).observe(document, { childList: true, subtree: true });

// A camera's recording does not say how long it is until somebody looks for its end.
document.addEventListener("loadedmetadata", ({ target: video }) => {
  if (video.duration !== Infinity || video.srcObject || !video.closest("#recording")) return;
  video.addEventListener("durationchange", () => { video.currentTime = 0; }, { once: true });
  video.currentTime = Number.MAX_SAFE_INTEGER;
}, true);

// Gradio gives every radio button a name of its own, again and again: without a common one, arrow keys do nothing.
document.addEventListener("keydown", (event) => {
  if (event.target.type !== "radio") return;
  const group = event.target.closest("fieldset");
  for (const radio of group.querySelectorAll("input[type=radio]")) radio.name = group.id;
}, true);

const SENDING = "Sending …";

const statusOf = (tab) => document.getElementById(`${tab}-status`);

function tell(tab, role, text) {
  const line = Object.assign(document.createElement("p"), { textContent: text });
  line.setAttribute("role", role);
  statusOf(tab).querySelector("p").replaceWith(line);
}

// Says at once that a tab's button was pressed, where it can be seen.
window.showOutcome = (tab) => {
  tell(tab, "status", SENDING);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  statusOf(tab).scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
};

window.sayCancelled = (tab) => tell(tab, "status", "Cancelled.");

// Gradio looks at files and opens pictures before the page's own checks: where it fails, nothing else has been said.
window.sayUnreadable = (tab) => {
  if (statusOf(tab).querySelector("p").textContent !== SENDING) return;
  const why = "What you chose cannot be read, or is no longer here after an hour; choose it again.";
  tell(tab, "alert", tab === "render" ? `${why} A picture must be a PNG, JPEG or WebP file.` : why);
};

// Takes off the report what the page around it says already, and makes its frame as high as what is left.
window.showReport = (frame) => {
  const page = frame.contentDocument;
  if (!page?.body || page.URL === "about:blank") return setTimeout(showReport, 20, frame);
  const style = page.createElement("style");
  style.textContent = `header { padding-block: 0 } main, header { max-width: none; padding-inline: 0 }
    .tiles { margin-top: 0 } header > :not(.tiles), footer { display: none }`;
  page.head.append(style);
  const fit = () => { frame.style.height = `${page.body.offsetHeight}px`; };
  new frame.contentWindow.ResizeObserver(fit).observe(page.body);
};
