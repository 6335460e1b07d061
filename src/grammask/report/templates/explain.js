"use strict";
// Texts are laid out when they are opened: a page of hundreds stays quick.
const field = (name) => document.getElementById(name);
const names = ["rule", "layer", "head", "direction", "least"];

function matches(arc, wanted) {
  if (wanted.rule === "rules" ? arc.dataset.implied : wanted.rule && arc.dataset.rule !== wanted.rule) return 0;
  if (wanted.direction && arc.dataset.direction !== wanted.direction) return 0;
  let weight = 0;
  for (const entry of arc.dataset.heads.split(" ")) {
    const [layer, head, share] = entry.split(":");
    if ((!wanted.layer || layer === wanted.layer) && (!wanted.head || head === wanted.head)) {
      weight = Math.max(weight, Number(share));
    }
  }
  return weight;
}

function filter() {
  const wanted = Object.fromEntries(names.map((name) => [name, field(name).value]));
  document.querySelector("output[for=least]").value = wanted.least;
  for (const text of document.querySelectorAll("details.text[data-shown]")) {
    const arcs = text.querySelectorAll(".displacy-arrow");
    let shown = 0;
    for (const arc of arcs) {
      const weight = matches(arc, wanted);
      const visible = weight > 0 && weight >= Number(wanted.least);
      arc.classList.toggle("off", !visible);
      arc.style.opacity = 0.25 + 0.75 * weight;
      shown += visible;
    }
    text.querySelector(".count").textContent = `${shown} of ${arcs.length} arcs are shown.`;
  }
}

function show(text) {
  if (text.open && !text.dataset.shown) {
    text.append(text.querySelector("template").content.cloneNode(true));
    text.dataset.shown = "yes";
    filter();
  }
}

for (const text of document.querySelectorAll("details.text")) {
  text.addEventListener("toggle", () => show(text));
  show(text);
}
for (const name of names) field(name).addEventListener("input", filter);
document.querySelector("form.controls").addEventListener("submit", (event) => event.preventDefault());
