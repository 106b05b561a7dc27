(() => {
  const form = document.getElementById("filter");
  const samples = [...document.querySelectorAll("details.sample")];
  const words = samples.map((sample) => sample.textContent.toLowerCase());
  const apply = () => {
    const { side, target, hit, text } = form.elements;
    const sought = text.value.trim().toLowerCase();
    let shown = 0;
    samples.forEach((sample, place) => {
      const fits = (field, value) => !field.value || field.value === value;
      const keep = fits(side, sample.dataset.side) && fits(target, sample.dataset.target) &&
        fits(hit, sample.dataset.hit) && words[place].includes(sought);
      sample.hidden = !keep;
      shown += keep;
    });
    form.querySelector("output").textContent = `${shown} of ${samples.length}`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => {
    one.open = true;
    one.dataset.printed = "";
  }));
  addEventListener("afterprint", () => document.querySelectorAll("details[data-printed]").forEach((one) => {
    one.open = false;
    delete one.dataset.printed;
  }));
})();
