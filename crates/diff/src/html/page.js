"use strict";
const parts = () => document.querySelectorAll("details.node");
const all = open => () => { for (const part of parts()) part.open = open; };
document.getElementById("open")?.addEventListener("click", all(true));
document.getElementById("close")?.addEventListener("click", all(false));
for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;
