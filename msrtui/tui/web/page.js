// What textual-serve's script wants to know, before it begins; and the keys for the app without a click.
"use strict";

const begin = window.onload;
const size = parseInt(new URLSearchParams(window.location.search).get("fontsize"), 10);

const takeKeys = () => {
  const keys = document.querySelector(".xterm-helper-textarea");
  if (keys && !document.body.classList.contains("-closed")) keys.focus();
};

window.onload = async (event) => {
  const terminal = document.getElementById("terminal");
  terminal.dataset.sessionWebsocketUrl = `ws://${window.location.host}/ws`;
  terminal.dataset.fontSize = size >= 6 && size <= 60 ? size : 16;
  document.getElementById("anew").onclick = () => window.location.reload();
  // cells are measured when the terminal is made: with another font in hand they would have another width
  await Promise.allSettled(["", "bold "].map((weight) => document.fonts.load(`${weight}16px "Roboto Mono"`)));
  let drawn = false;
  new MutationObserver(() => {
    if (document.body.classList.contains("-closed")) document.getElementById("anew").focus();
    else if (!drawn && document.body.classList.contains("-first-byte")) {
      drawn = true; // before that there is nobody to tell that the window has the keys
      takeKeys();
    }
  }).observe(document.body, { attributeFilter: ["class"] });
  window.addEventListener("focus", takeKeys);
  begin.call(window, event);
};
