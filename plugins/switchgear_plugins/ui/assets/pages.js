// The console's own pages. Each is a module with `show(element, api, below)`, as those of other plugins are. `forAll`: of use also
// to whoever may see to their own things alone. `needs`: the plugin without which there is nothing to show.
export const GROUPS = ["Resources", "Access", "Integrations", "Testing", "Operations"];

export const PAGES = [
  { slug: "account", title: "Your area", forAll: true },
  { slug: "overview", title: "Overview" },
  { slug: "setup", title: "Setup" },
  { slug: "live", title: "Live requests" },
  { slug: "requests", title: "Request log", forAll: true },
  { slug: "playground", title: "Playground", group: "Testing", forAll: true },
  { slug: "simulate", title: "Simulate a request", group: "Testing" },
  { slug: "usage", title: "Usage and cost", group: "Operations", forAll: true },
  { slug: "limits", title: "Limits of keys", group: "Access" },
  { slug: "prices", title: "Prices", group: "Operations", needs: "prices" },
  { slug: "anomalies", title: "Spending out of the usual", group: "Operations", needs: "usage" },
  { slug: "health", title: "Health", group: "Operations" },
  { slug: "plugins", title: "Plugins", group: "Operations" },
  { slug: "settings", title: "Settings", group: "Operations" },
  { slug: "k", title: "Resources", hidden: true, module: "kind" },
];
