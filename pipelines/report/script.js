// Plays the videos in step, and moves the cursor of timeline and plot with them.
"use strict";
const { fps, frames, errors } = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const player = byId("player");
const main = byId("render");
const overlays = [...document.querySelectorAll(".overlay")];
const followers = [...document.querySelectorAll(".videos video")].filter((video) => video !== main);
const scrub = byId("scrub");
const clock = byId("clock");
let playing = false;
let shown = -1;

for (const video of [main, ...followers]) video.controls = false;
document.querySelectorAll("[data-scripted]").forEach((element) => (element.hidden = false));

// The middle of a frame, where rounding cannot land in its neighbour.
const timeOf = (frame) => (frame + 0.5) / fps;
const frameNow = () => Math.min(frames - 1, Math.max(0, Math.floor(main.currentTime * fps + 1e-3)));

function show(frame) {
  if (frame === shown) return;
  shown = frame;
  player.style.setProperty("--t", (frame + 0.5) / frames);
  scrub.value = frame;
  scrub.setAttribute("aria-valuetext", `frame ${frame + 1} of ${frames}`);
  clock.textContent = `${(frame / fps).toFixed(2)} s, frame ${frame + 1} of ${frames}`;
  for (const [part, line] of Object.entries(errors)) {
    byId(`now-${part}`).textContent = line[frame] === null ? "–" : line[frame].toFixed(2);
  }
}

function seek(frame) {
  frame = Math.min(frames - 1, Math.max(0, Math.round(frame)));
  for (const video of [main, ...followers]) video.currentTime = timeOf(frame);
  show(frame);
}

function setPlaying(value) {
  playing = value;
  byId("play-word").textContent = playing ? "Pause" : "Play";
  byId("play-sign").setAttribute("d", playing ? "M1 0h3v10H1zM6 0h3v10H6z" : "M1 0l9 5-9 5z");
  for (const video of [main, ...followers]) {
    if (playing) video.play().catch(() => {});
    else video.pause();
  }
  if (playing) requestAnimationFrame(follow);
  else seek(frameNow());
}

function follow() {
  if (!playing) return;
  for (const video of followers) {
    if (video.hidden) continue;
    if (Math.abs(video.currentTime - main.currentTime) > 0.75 / fps) video.currentTime = main.currentTime;
    if (video.paused) video.play().catch(() => {});
  }
  show(frameNow());
  requestAnimationFrame(follow);
}

function step(frames) {
  if (playing) setPlaying(false);
  seek(shown + frames);
}

main.addEventListener("ended", () => {
  if (!playing) return;
  seek(0);
  setPlaying(true);
});
byId("play").addEventListener("click", () => setPlaying(!playing));
byId("back").addEventListener("click", () => step(-1));
byId("forth").addEventListener("click", () => step(1));
scrub.addEventListener("input", () => {
  if (playing) setPlaying(false);
  seek(Number(scrub.value));
});
byId("speed").addEventListener("change", (event) => {
  for (const video of [main, ...followers]) video.playbackRate = Number(event.target.value);
});
byId("overlay")?.addEventListener("change", (event) => {
  for (const video of overlays) {
    video.hidden = video.dataset.overlay !== event.target.value;
    video.currentTime = main.currentTime;
  }
});
document.querySelectorAll("[data-frame]").forEach((element) => {
  element.addEventListener("click", () => {
    if (playing) setPlaying(false);
    seek(Number(element.dataset.frame));
  });
});
const plot = byId("plot");
const seekByPointer = (event) => {
  const box = plot.getBoundingClientRect();
  if (playing) setPlaying(false);
  seek(((event.clientX - box.left) / box.width) * frames - 0.5);
};
plot?.addEventListener("pointerdown", (event) => {
  plot.setPointerCapture(event.pointerId);
  seekByPointer(event);
});
plot?.addEventListener("pointermove", (event) => {
  if (event.buttons) seekByPointer(event);
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, button, a, video") && !(event.target === scrub && event.key === " ")) return;
  if (event.key === " ") setPlaying(!playing);
  else if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "ArrowRight") step(1);
  else return;
  event.preventDefault();
});

seek(0);
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) setPlaying(true);
