/** The search in the documentation's pages; all else there needs no script. */
import "./styles.css";
import "./docs.css";

interface Section {
  url: string;
  page: string;
  title: string;
  text: string;
}

const MOST = 12;
/** Characters before what was found, and in all, that are shown of a section. */
const BEFORE = 40;
const SHOWN = 150;

const field = document.querySelector<HTMLInputElement>("#find");
const list = document.querySelector<HTMLElement>("#found");
let index: Promise<Section[]> | undefined;

function sections(): Promise<Section[]> {
  index ??= fetch(document.body.dataset.index ?? "").then((answer) => {
    if (!answer.ok) throw new Error(`The index answers ${answer.status}.`);
    return answer.json();
  });
  return index;
}

/** How well a section fits; 0 where a word is missing. Titles count more than text. */
function score(section: Section, words: string[]): number {
  let sum = 0;
  for (const word of words) {
    const title = section.title.toLowerCase();
    if (title === word) sum += 30;
    else if (title.includes(word)) sum += 12;
    else if (section.page.toLowerCase().includes(word)) sum += 4;
    else if (section.text.toLowerCase().includes(word)) sum += 2;
    else return 0;
  }
  const phrase = words.join(" ");
  if (words.length > 1 && section.text.toLowerCase().includes(phrase)) sum += 3;
  return sum;
}

function shown(section: Section, words: string[]): HTMLElement {
  const link = document.createElement("a");
  link.href = section.url;
  const title = document.createElement("strong");
  title.textContent =
    section.title === section.page ? section.title : `${section.page}: ${section.title}`;
  const at = Math.max(0, section.text.toLowerCase().indexOf(words[0] ?? "") - BEFORE);
  const part = document.createElement("span");
  part.textContent = (at ? "…" : "") + section.text.slice(at, at + SHOWN);
  link.append(title, part);
  return link;
}

async function search(): Promise<void> {
  if (!field || !list) return;
  const typed = field.value;
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  let found: Node[] = [];
  if (words.length) {
    try {
      const scored = (await sections())
        .map((section) => ({ section, score: score(section, words) }))
        .filter((each) => each.score)
        .sort((a, b) => b.score - a.score);
      found = scored.slice(0, MOST).map((each) => shown(each.section, words));
      if (!found.length) found = [said(`Nothing is found for “${typed}”.`)];
    } catch {
      index = undefined; // The next letter tries it again.
      found = [said("The index could not be loaded. Type on to try it again.")];
    }
    if (field.value !== typed) return; // A later search answers.
  }
  list.replaceChildren(...found);
  list.hidden = !found.length;
}

function said(words: string): HTMLElement {
  const line = document.createElement("p");
  line.textContent = words;
  return line;
}

field?.addEventListener("input", () => void search());
// It was typed before this was loaded.
if (field?.value && document.activeElement === field) void search();
addEventListener("keydown", (event) => {
  const typing = (event.target as Element).closest("input, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    field?.focus();
  }
  if (!list || list.hidden) return;
  if (event.key === "Escape") {
    list.hidden = true;
    field?.focus();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement) + step;
    event.preventDefault();
    (links[at] ?? field)?.focus();
  }
});
addEventListener("pointerdown", (event) => {
  if (list && !(event.target as Element).closest("search")) list.hidden = true;
});
list?.addEventListener("click", (event) => {
  // A link to a heading of this very page loads nothing anew.
  if ((event.target as Element).closest("a")) list.hidden = true;
});

const pages = document.querySelector<HTMLDetailsElement>(".docs-nav > details");
if (pages && matchMedia("(max-width: 820px)").matches) pages.open = false;
