import { render } from "preact";
import { App } from "./app";
import { catchLinks } from "./router";
import "./styles.css";

const root = document.getElementById("app");
if (root) {
  catchLinks(root);
  render(<App />, root);
}
