// The page that changes how codes are made. The server reads its form.

import "./log-out.js";
import "./show-password.js";
import { showFieldsFor } from "./form.js";

const form = document.getElementById("key");
const arrange = () => showFieldsFor(form, form.elements.kind.value);
form.elements.kind.addEventListener("change", arrange);
arrange();
