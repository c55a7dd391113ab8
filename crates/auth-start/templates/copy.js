const button = document.getElementById("copy");
const link = document.getElementById("link");
button.hidden = false;
button.onclick = async () => {
  try {
    await navigator.clipboard.writeText(link.textContent);
  } catch {
    getSelection().selectAllChildren(link);
    document.execCommand("copy");
  }
  document.getElementById("copied").textContent = button.dataset.done;
};
