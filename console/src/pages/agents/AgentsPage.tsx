import { Empty, Page } from "../../ui/Page";

export function AgentsPage() {
  return (
    <Page title="Agents">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
