// The table of claims: a verdict to keep, and words that a row has to hold. Rows of single environments go with their claim.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".claims")) {
    const [status, words, count] = [box.querySelector("select"), box.querySelector("input"), box.querySelector("output")];
    const rows = [...box.querySelectorAll("tbody tr")];
    const narrow = () => {
      let claim = false, shown = 0;
      for (const row of rows) {
        const part = row.cells[0].textContent.startsWith("·");
        const kept = (status.value === "all" || row.dataset.status === status.value)
          && row.textContent.toLowerCase().includes(words.value.toLowerCase());
        claim = part ? claim : kept;
        row.hidden = part ? !claim : !kept;
        shown += row.hidden || part ? 0 : 1;
      }
      count.textContent = `${shown} of ${rows.filter((row) => !row.cells[0].textContent.startsWith("·")).length} claims`;
    };
    status.addEventListener("change", narrow);
    words.addEventListener("input", narrow);
    narrow();
  }
});
