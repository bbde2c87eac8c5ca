"use strict";

// Gradio's radio buttons lack what makes them one group to screen readers and to the arrow keys.
function nameGroups() {
  for (const group of document.querySelectorAll("fieldset:not([role])")) {
    const label = group.querySelector("[data-testid=block-info]");
    if (!label) continue;
    label.id = `${group.id}-label`;
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-labelledby", label.id);
    for (const radio of group.querySelectorAll("input[type=radio]")) radio.name = group.id;
  }
}
new MutationObserver(nameGroups).observe(document, { childList: true, subtree: true });

// Says at once that Render was pressed, where it can be seen.
window.showOutcome = () => {
  const status = document.getElementById("status");
  status.querySelector("p").outerHTML = '<p role="status">Waiting for its turn …</p>';
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  status.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
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
