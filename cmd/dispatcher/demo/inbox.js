// Shows mail as it comes: asks for the page every second and puts its list in the place of this one.
"use strict";

async function look() {
  try {
    const answer = await fetch("/");
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.getElementById("mail");
    const mail = document.getElementById("mail");
    if (now && now.dataset.count !== mail.dataset.count) mail.replaceWith(now);
    setTimeout(look, 1000);
  } catch {
    document.querySelector("[role=status]").textContent = "The demo has ended.";
  }
}
setTimeout(look, 1000);
