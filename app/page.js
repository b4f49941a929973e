// Names of Gradio's empty players are on elements without a role, where screen readers skip them. And it gives each
// radio button a group of its own, time and again, so that the arrow keys do not go from one to the next.
() => {
  const mend = () => {
    for (const empty of document.querySelectorAll("div.empty[aria-label]:not([role])")) empty.setAttribute("role", "img");
    for (const radio of document.querySelectorAll("fieldset[id] input[type=radio]")) {
      const group = radio.closest("fieldset").id;
      if (radio.name !== group) radio.name = group;
    }
  };
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true, attributeFilter: ["name"] });
  mend();
}
