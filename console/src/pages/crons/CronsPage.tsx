import { Empty, Page } from "../../ui/Page";

export function CronsPage() {
  return (
    <Page title="Crons">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
