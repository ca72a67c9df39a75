import { Link } from "@tanstack/react-router";

import { Empty, Page } from "../ui/Page";

export function NotFound() {
  return (
    <Page title="Not found">
      <Empty title="There is no such page.">
        <Link to="/runs" search={{}}>
          See the runs
        </Link>
      </Empty>
    </Page>
  );
}
