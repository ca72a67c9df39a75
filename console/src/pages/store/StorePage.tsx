import { Empty, Page } from "../../ui/Page";

export function StorePage() {
  return (
    <Page title="Store">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
