/** What stands in front of all paths, where the API is mounted below one: `/agents` of `/agents/console/threads`. */
export const prefix = window.location.pathname.replace(/\/console(\/.*)?$/, "");
