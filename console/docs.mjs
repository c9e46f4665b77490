/**
 * The documentation as pages: each Markdown file of `docs/` (and those beside it) becomes
 * `dist/docs/<path>.html` after `vite build`, with an index to search in. No page needs a script to
 * be read.
 *
 * https://marked.js.org/using_pro#renderer
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { Marked } from "marked";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = fileURLToPath(new URL("dist", import.meta.url));

/** Pages outside `docs/`, and the paths that they get. */
const BESIDE = {
  "README.md": "readme",
  "CONTRIBUTING.md": "contributing",
  "SECURITY.md": "security",
  "CHANGELOG.md": "changelog",
  "clients/typescript/README.md": "typescript-client",
};

/** The menu: a title and the paths of its pages; `folder/*` are all pages of a folder. */
const MENU = [
  [
    "Use it",
    ["", "readme", "console", "api", "clients", "typescript-client", "workflows", "expressions"],
  ],
  ["Flows", ["flows", "flows/*"]],
  ["Providers", ["providers", "providers/*"]],
  ["Run it", ["deploying", "tunnel", "operating", "threat-model", "security", "performance"]],
  ["Runbooks", ["runbooks", "runbooks/*"]],
  ["Change it", ["architecture", "glossary", "adding-a-provider", "contributing", "changelog"]],
];

/** Files that are shown as they are. */
const DATA = /^docs\/flows\/.*\.json$/;
/** Files that are no pages: served beside them. */
const FILES = /^docs\/.*(\.svg|\.png|_collection\.json)$/;
/** So much of a section's text is searched: the rest is data. */
const SEARCHED = 1500;

const sources = new Map();
for (const file of [...files("docs"), ...Object.keys(BESIDE)]) {
  if (file.endsWith(".md") || DATA.test(file)) sources.set(file, pathOf(file));
}
const pages = [...sources].map(([file, path]) => page(file, path));
const index = JSON.stringify(pages.flatMap((each) => each.sections));
const indexName = `assets/docs-index-${digest(index)}.json`;
writeFileSync(join(DIST, indexName), index);

const template = readFileSync(join(DIST, "docs.html"), "utf8");
for (const each of pages) {
  const target = join(DIST, "docs", `${each.path || "index"}.html`);
  mkdirSync(dirname(target), { recursive: true });
  const parts = {
    title: escaped(each.title),
    index: `/console/${indexName}`,
    nav: menu(each.path),
    content: each.html,
  };
  writeFileSync(
    target,
    template.replace(/<!--(title|index|nav|content)-->/g, (_, name) => parts[name]),
  );
}
for (const file of files("docs").filter((each) => FILES.test(each))) {
  writeFileSync(join(DIST, file), readFileSync(join(ROOT, file)));
}
rmSync(join(DIST, "docs.html"));

function files(folder) {
  return readdirSync(join(ROOT, folder))
    .sort()
    .map((name) => posix.join(folder, name))
    .flatMap((path) => (statSync(join(ROOT, path)).isDirectory() ? files(path) : [path]));
}

/** `docs/flows/README.md` → `flows`, `docs/api.md` → `api`. */
function pathOf(file) {
  return (
    BESIDE[file] ??
    file
      .replace(/^docs\//, "")
      .replace(/\.(md|json)$/, "")
      .replace(/(^|\/)README$/, "")
  );
}

function page(file, path) {
  const text = readFileSync(join(ROOT, file), "utf8");
  if (!file.endsWith(".md")) {
    const title = JSON.parse(text).name;
    const html = `<h1>${escaped(title)}</h1>\n${block(text)}`;
    return { path, title, html, sections: [{ url: url(path), page: title, title, text: "" }] };
  }
  const marked = new Marked({ gfm: true });
  const sections = [];
  const seen = new Map();
  let title = "";
  marked.use({
    renderer: {
      heading({ tokens, depth }) {
        const words = plain(tokens);
        if (depth === 1) title ||= words;
        const slug = slugOf(words, seen);
        sections.push({
          url: depth === 1 ? url(path) : `${url(path)}#${slug}`,
          title: words,
          text: "",
        });
        const inner = this.parser.parseInline(tokens);
        if (depth === 1) return `<h1 id="${slug}">${inner}</h1>\n`;
        return `<h${depth} id="${slug}"><a class="anchor" href="#${slug}">${inner}</a></h${depth}>\n`;
      },
      link({ href, tokens }) {
        const inner = this.parser.parseInline(tokens);
        const to = target(href, file);
        if (to === null) return `<span class="file">${inner}</span>`;
        const outside = /^https?:/.test(to) ? ' target="_blank" rel="noopener noreferrer"' : "";
        return `<a href="${escaped(to)}"${outside}>${inner}</a>`;
      },
      image({ href, text: words }) {
        return `<img src="${escaped(target(href, file) ?? href)}" alt="${escaped(words)}" />`;
      },
      code({ text: code }) {
        return block(code);
      },
      table(token) {
        const cell = (each, tag, more = "") =>
          `<${tag}${more}>${this.parser.parseInline(each.tokens)}</${tag}>`;
        const head = token.header.map((each) => cell(each, "th", ' scope="col"')).join("");
        const rows = token.rows
          .map((row) => `<tr>${row.map((each) => cell(each, "td")).join("")}</tr>`)
          .join("\n");
        return `<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table></div>\n`;
      },
    },
  });
  // Text belongs to the heading before it; what is nested is part of what holds it.
  const tokens = marked.lexer(text);
  const html = marked.parser(tokens);
  let at = -1;
  for (const token of tokens) {
    if (token.type === "heading") at += 1;
    else if (at >= 0 && !["html", "space"].includes(token.type)) {
      const section = sections[at];
      section.text = `${section.text} ${bare(token.raw)}`.trim().slice(0, SEARCHED);
    }
  }
  return {
    path,
    title: title || path,
    html,
    sections: sections.map((each) => ({ ...each, page: title })),
  };
}

/** Where a link leads on the site; null for a file that is no page of it. */
function target(href, file) {
  if (/^[a-z]+:/.test(href)) return href;
  const [name, anchor] = href.split("#");
  const hash = anchor ? `#${anchor}` : "";
  if (!name) return hash;
  const path = posix.join(dirname(file), name).replace(/\/$/, "");
  for (const each of [path, `${path}/README.md`]) {
    if (sources.has(each)) return url(sources.get(each)) + hash;
  }
  return FILES.test(path) ? `/${path}` : null;
}

function menu(current) {
  return MENU.map(([title, paths]) => {
    const all = paths.flatMap((each) =>
      each.endsWith("/*")
        ? pages.filter(({ path }) => path.startsWith(each.slice(0, -1)))
        : pages.filter(({ path }) => path === each),
    );
    const items = all.map(({ path, title: name }) => {
      const here = path === current ? ' aria-current="page"' : "";
      return `<li><a href="${url(path)}"${here}>${escaped(name)}</a></li>`;
    });
    const folded = paths[1]?.endsWith("/*");
    const open = all.some(({ path }) => path === current) ? " open" : "";
    const list = `<ul>${items.join("")}</ul>`;
    return folded
      ? `<details${open}><summary>${title}</summary>${list}</details>`
      : `<h2>${title}</h2>${list}`;
  }).join("\n");
}

function url(path) {
  return path ? `/docs/${path}` : "/docs";
}

function block(code) {
  return `<pre tabindex="0"><code>${escaped(code.trimEnd())}</code></pre>\n`;
}

function plain(tokens) {
  return tokens
    .map((each) => (each.tokens ? plain(each.tokens) : (each.text ?? each.raw)))
    .join("");
}

function bare(markdown) {
  return markdown
    .replace(/\]\([^)]*\)/g, "")
    .replace(/```\w*|[`*|[\]]|-{2,}:?/g, " ")
    .replace(/\s+/g, " ");
}

/** A heading's anchor, as code hosts make it. */
function slugOf(words, seen) {
  const slug = words
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_\- ]/gu, "")
    .replaceAll(" ", "-");
  const count = seen.get(slug) ?? 0;
  seen.set(slug, count + 1);
  return count ? `${slug}-${count}` : slug;
}

function digest(text) {
  return createHash("sha256").update(text).digest("hex").slice(0, 10);
}

function escaped(text) {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
