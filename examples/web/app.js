// The browser's half: it holds a connect session's token, for half an hour at most, and nothing else.
import { connect } from "@integrations-backend/client";

const state = document.querySelector("#state");

for (const button of document.querySelectorAll("[data-provider]")) {
  const { provider } = button.dataset;
  // Asked for before the click: a window may be opened only while the click is being handled.
  let session = ask("/session", { provider });
  button.onclick = async () => {
    try {
      const { token, baseUrl } = await session;
      const result = await connect({ token, baseUrl, provider, onBlocked: offer });
      state.textContent = `${provider}: ${result.status}`;
    } catch (error) {
      state.textContent = `${provider}: ${error.message}`;
    }
    session = ask("/session", { provider });
  };
}

document.querySelector("#show").onclick = async () => {
  const answer = await ask("/row", { sheet: document.querySelector("#sheet").value });
  document.querySelector("#row").textContent = JSON.stringify(answer.row ?? answer, null, 2);
};

function offer(url) {
  document.querySelector("#blocked").hidden = false;
  document.querySelector("#blocked a").href = url;
}

async function ask(path, body) {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(body) });
  return await answer.json();
}
