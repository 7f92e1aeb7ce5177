export async function show(element, api) {
  const { data } = await api("models");
  element.textContent = `${data.length} models`;
}
