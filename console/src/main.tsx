import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { request } from "./api";

function App() {
  const [items, setItems] = useState<{ id: string; title: string }[]>([]);
  useEffect(() => {
    request<{ items: { id: string; title: string }[] }>("GET", "/api/integrations").then((answer) =>
      setItems(answer.items),
    );
  }, []);
  return (
    <main>
      <h1>Connections</h1>
      <ul>
        {items.map((each) => (
          <li key={each.id}>{each.title}</li>
        ))}
      </ul>
    </main>
  );
}

const root = document.getElementById("app");
if (root) render(<App />, root);
