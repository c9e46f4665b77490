import { once } from "./api";
import { useLoad } from "./hooks";
import type { Page, Provider } from "./types";

/** Every provider with its forms, loaded once. */
export function useCatalogue() {
  return useLoad(() => once<Page<Provider>>("/api/integrations"), "catalogue");
}
