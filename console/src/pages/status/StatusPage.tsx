import { Empty, Page } from "../../ui/Page";

export function StatusPage() {
  return (
    <Page title="Status">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
