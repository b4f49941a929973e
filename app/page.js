// Two repairs of Gradio's markup. Labels of empty players are on elements without a role, which screen readers skip.
// Each radio button is put into a group of its own, again after each update, so that arrow keys cannot move between them.
() => {
  const repair = () => {
    for (const empty of document.querySelectorAll("div.empty[aria-label]:not([role])")) empty.setAttribute("role", "img");
    for (const radio of document.querySelectorAll("fieldset[id] input[type=radio]")) {
      const group = radio.closest("fieldset").id;
      if (radio.name !== group) radio.name = group;
    }
  };
  new MutationObserver(repair).observe(document.body, { childList: true, subtree: true, attributeFilter: ["name"] });
  repair();
}
