# Reads employees.tsv and writes what `action` names: a page (list, form, error), JSON (json, instance),
# the file anew (add, delete), or what is wrong with the submitted form (check). `has` exits with 0 if the
# employee is there. Texts come from outside by ENVIRON, as awk unescapes backslashes in -v.
# Line 1 of the file is the next id: an id never comes again, so an old page never deletes another person.

BEGIN {
  FS = OFS = "\t"
  LONGEST = 100
  for (i = 0; i < 256; i++) BYTE[sprintf("%02X", i)] = i < 32 || i == 127 ? " " : sprintf("%c", i)
  read_instance()
  if (action == "add" || action == "check" || action == "form") read_form()
}

NR == 1 { next_id = $1; next }
{ id[++count] = $1; line[count] = $0 }

END {
  if (action == "json") json()
  else if (action == "instance") print INSTANCE["instance-id"] == "" ? "null" : instance_json()
  else if (action == "check") print problem()
  else if (action == "has") exit !has()
  else if (action == "add" || action == "delete") rewrite()
  else page()
}

# --- the submitted form

function read_form(    pairs, n, i, at) {
  n = split(ENVIRON["FORM"], pairs, "&")
  for (i = 1; i <= n; i++)
    if ((at = index(pairs[i], "=")) > 0)
      FORM[decode(substr(pairs[i], 1, at - 1))] = one_line(decode(substr(pairs[i], at + 1)))
}

# application/x-www-form-urlencoded, as the URL standard parses it: a "%" without two digits is itself.
function decode(text,    out, at, hex) {
  gsub(/\+/, " ", text)
  while ((at = index(text, "%")) > 0) {
    hex = toupper(substr(text, at + 1, 2))
    out = out substr(text, 1, at - 1) (hex in BYTE ? BYTE[hex] : "%")
    text = substr(text, at + (hex in BYTE ? 3 : 1))
  }
  return out text
}

function one_line(text) {
  gsub(/[[:cntrl:][:space:]]+/, " ", text)
  sub(/^ /, "", text)
  sub(/ $/, "", text)
  return text
}

function problem(    name) {
  for (name in FORM) {
    if (!utf8(FORM[name])) return "The form is not valid UTF-8."
    if (characters(FORM[name]) > LONGEST) return "Please keep each text to " LONGEST " characters."
  }
  if (FORM["name"] == "") return "Please enter a name."
  if (FORM["job_title"] == "") return "Please enter a job title."
  if (FORM["email"] != "" && FORM["email"] !~ /^[^@ ]+@[^@ ]+$/)
    return "Please enter an e-mail address like ada@example.com, or leave it empty."
  return ""
}

# Source: RFC 3629, section 4.
function utf8(text) {
  return text ~ /^([\001-\177]|[\302-\337][\200-\277]|\340[\240-\277][\200-\277]|[\341-\354\356\357][\200-\277][\200-\277]|\355[\200-\237][\200-\277]|\360[\220-\277][\200-\277][\200-\277]|[\361-\363][\200-\277][\200-\277][\200-\277]|\364[\200-\217][\200-\277][\200-\277])*$/
}

function characters(text) {
  gsub(/[\200-\277]/, "", text)
  return length(text)
}

# --- the file

function has(    i) {
  for (i = 1; i <= count; i++) if (id[i] == ENVIRON["EMPLOYEE"]) return 1
  return 0
}

function rewrite(    i) {
  print action == "add" ? next_id + 1 : next_id
  for (i = 1; i <= count; i++) if (action == "add" || id[i] != ENVIRON["EMPLOYEE"]) print line[i]
  if (action == "add") print next_id, FORM["name"], FORM["job_title"], FORM["location"], FORM["email"]
}

# --- JSON

function quoted(text) {
  gsub(/[\\"]/, "\\\\&", text)
  return "\"" text "\""
}

function json(    i, f) {
  print "["
  for (i = 1; i <= count; i++) {
    split(line[i], f)
    print " {\"id\": " f[1] ", \"name\": " quoted(f[2]) ", \"job_title\": " quoted(f[3]) ", \"location\": " \
      quoted(f[4]) ", \"email\": " quoted(f[5]) ", \"badges\": [], \"photo\": null}" (i < count ? "," : "")
  }
  print "]"
}

# --- the instance, as the start script found it: lines of a name, a tab and a value

function read_instance(    file, pair) {
  file = ENVIRON["DIRECTORY_RUN"] "/instance"
  while ((getline pair < file) > 0) INSTANCE[substr(pair, 1, index(pair, "\t") - 1)] = substr(pair, index(pair, "\t") + 1)
}

function instance_json() {
  return "{\"instance_id\": " quoted(INSTANCE["instance-id"]) ", \"host_name\": " \
    quoted(INSTANCE["local-hostname"]) ", \"ami_id\": " quoted(INSTANCE["ami-id"]) "}"
}

# --- HTML

function html(text) {
  gsub(/&/, "\\&amp;", text)
  gsub(/</, "\\&lt;", text)
  gsub(/>/, "\\&gt;", text)
  gsub(/"/, "\\&quot;", text)
  gsub(/'/, "\\&#x27;", text)
  return text
}

function page() {
  print "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">"
  print "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
  print "<title>Employee directory</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>"
  print "<header><div class=\"wide\"><a class=\"brand\" href=\"/\">Employee directory</a>" \
    "<a class=\"button\" href=\"/employees/new/\">Add an employee</a></div></header>\n<main class=\"wide\">"
  if (action == "list") list_page()
  else if (action == "form") form_page()
  else print "<div class=\"nobody\"><h1>Sorry</h1><p>" html(ENVIRON["PROBLEM"]) "</p><p><a class=\"quiet\" href=\"/\">Back to the directory</a></p></div>"
  print "</main>\n<footer><div class=\"wide\"><span>Served by</span> " served_by() "</div></footer>\n</body>\n</html>"
}

function served_by() {
  if (INSTANCE["instance-id"] == "") return "not on an instance"
  return "<dl><div><dt>Instance</dt><dd>" html(INSTANCE["instance-id"]) "</dd></div><div><dt>Host</dt><dd>" \
    html(INSTANCE["local-hostname"]) "</dd></div><div><dt>Image</dt><dd>" html(INSTANCE["ami-id"]) "</dd></div></dl>"
}

function list_page(    i) {
  print "<div class=\"title\"><h1>People</h1><p class=\"count\">" count + 0 (count == 1 ? " person" : " people") "</p></div>"
  if (!count) {
    print "<div class=\"nobody\"><p>There is nobody here yet.</p><p><a class=\"button\" href=\"/employees/new/\">Add an employee</a></p></div>"
    return
  }
  print "<ul class=\"people\">"
  for (i = 1; i <= count; i++) card(line[i])
  print "</ul>"
}

function card(record,    f) {
  split(record, f)
  print "<li class=\"card\"><span class=\"photo tone" f[1] % 6 "\" aria-hidden=\"true\">" html(initials(f[2])) "</span>"
  print "<div><h2>" html(f[2]) "</h2><p class=\"job\">" html(f[3]) "</p>"
  if (f[4] != "") print "<p class=\"detail\">" html(f[4]) "</p>"
  if (f[5] != "") print "<p class=\"detail\"><a href=\"mailto:" html(f[5]) "\">" html(f[5]) "</a></p>"
  print "<details class=\"edit\"><summary aria-label=\"Delete " html(f[2]) "\">Delete</summary>"
  print "<form method=\"post\" action=\"/employees/" f[1] "/delete/\"><button class=\"danger\">Delete for good</button></form>"
  print "</details></div></li>"
}

function initials(name,    words, n) {
  n = split(name, words, " ")
  return first(words[1]) (n > 1 ? first(words[n]) : "")
}

function first(word) {
  return match(word, /^.[\200-\277]*/) ? toupper(substr(word, 1, RLENGTH)) : ""
}

function form_page() {
  print "<form class=\"sheet\" method=\"post\" action=\"/employees/\">\n<h1>Add an employee</h1>"
  if (ENVIRON["PROBLEM"] != "") print "<p class=\"field\" role=\"alert\"><strong class=\"problem\">" html(ENVIRON["PROBLEM"]) "</strong></p>"
  field("name", "Name", "text", " required")
  field("job_title", "Job title", "text", " required")
  field("location", "Location", "text", "")
  field("email", "E-mail", "email", "")
  print "<p class=\"actions\"><button class=\"button\">Save</button><a class=\"quiet\" href=\"/\">Cancel</a></p>\n</form>"
}

function field(name, label, type, required) {
  print "<p class=\"field\"><label for=\"" name "\">" label "</label><input type=\"" type "\" id=\"" name "\" name=\"" name \
    "\" value=\"" html(FORM[name]) "\" maxlength=\"" LONGEST "\"" required "></p>"
}
