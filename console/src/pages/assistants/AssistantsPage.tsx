import { Empty, Page } from "../../ui/Page";

export function AssistantsPage() {
  return (
    <Page title="Assistants">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
