//! The places that are changed, and how.
//!
//! Invariants: work is counted in units of about an instruction, by what the operands are alone, so
//! that a program's pauses are the same in every run; to count raises no error and takes no memory.

/// A text that is found so many times in a file, and what is put there instead.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) file: &'static str,
    pub(crate) find: &'static str,
    pub(crate) times: usize,
    pub(crate) put: &'static str,
}

const fn edit(file: &'static str, find: &'static str, put: &'static str) -> Edit {
    Edit { file, find, times: 1, put }
}

/// Bytes that one unit copies, and the sums of it, are chosen so that a unit takes 3 to 30 ns.
pub(crate) const EDITS: &[Edit] = &[
    // To ask for room on the stack raises no error: Rust asks.
    edit(
        "lapi.c",
        "LUA_API int lua_checkstack (",
        "static void stretch (lua_State *L, void *size) {\n\
         \x20 luaD_growstack(L, *(int *)size);\n\
         }\n\n\n\
         LUA_API int lua_checkstack (",
    ),
    edit(
        "lapi.c",
        "    luaD_checkstack(L, size);\n    if (",
        "    if (L->stack_last - L->top <= size && \\\n\
         \x20       luaD_rawrunprotected(L, stretch, &size) != 0)\n\
         \x20     res = 0;\n\
         \x20   else if (",
    ),
    // A script's handler of errors is not called inside of the hook, where nothing could end it.
    edit("ldebug.c", "  if (L->errfunc != 0) {", "  if (L->errfunc != 0 && L->allowhook) {"),
    // Units are taken from the count of instructions; what is more than that is a debt, which is
    // paid off by one run of the hook after the other.
    edit(
        "lstate.h",
        "  lu_mem gcdept;",
        "  size_t debt;  /* units of work that no run of the hook has paid for */\n\
         \x20 unsigned int serial;  /* number of the last object */\n\
         \x20 lu_mem gcdept;",
    ),
    edit(
        "lstate.h",
        "LUAI_FUNC lua_State *luaE_newthread",
        "LUAI_FUNC void luaE_work (lua_State *L, size_t units);\n\
         #define work_(L,n) { size_t n_ = (size_t)(n); if (n_) luaE_work(L, n_); }\n\
         #define textwork_(L,o) \\\n\
         \t((void)(ttisstring(o) && tsvalue(o)->len > 64 && \\\n\
         \t\t(luaE_work(L, tsvalue(o)->len / 8), 1)))\n\
         /* Tables, functions, userdata and threads have their serial number where the\n\
         \x20  headers have room for it. */\n\
         typedef struct Numbered { CommonHeader; lu_byte a; lu_byte b; \
         unsigned int serial; } Numbered;\n\
         typedef char layout_[sizeof(Numbered) == 16 && sizeof(TString) == 24 && \\\n\
         \tsizeof(Udata) == 40 && sizeof(LClosure) == 48 && sizeof(Table) == 64 ? 1 : -1];\n\
         #define serial_(o) (((Numbered *)(void *)(o))->serial)\n\
         LUAI_FUNC lua_State *luaE_newthread",
    ),
    edit(
        "lstate.c",
        "lua_State *luaE_newthread (lua_State *L) {",
        "void luaE_work (lua_State *L, size_t units) {\n\
         \x20 if (!(L->hookmask & LUA_MASKCOUNT) || L->hookcount < 1) return;\n\
         \x20 if (units < (size_t)L->hookcount) L->hookcount -= (int)units;\n\
         \x20 else {\n\
         \x20   size_t more = units - (size_t)(L->hookcount - 1);\n\
         \x20   G(L)->debt = G(L)->debt > ~more ? ~(size_t)0 : G(L)->debt + more;\n\
         \x20   L->hookcount = 1;\n\
         \x20 }\n\
         }\n\n\n\
         lua_State *luaE_newthread (lua_State *L) {",
    ),
    edit(
        "lstate.c",
        "  g->gcdept = 0;",
        "  g->gcdept = 0;\n  g->debt = 0;\n  g->serial = 0;\n  serial_(L) = 0;",
    ),
    // Where the stack is full of the results of one function the hook waits for what takes them.
    edit(
        "lvm.c",
        "    resethookcount(L);\n    luaD_callhook(L, LUA_HOOKCOUNT, -1);\n",
        "    if (L->top - L->base > LUAI_MAXCSTACK - 200) L->hookcount = 1;\n\
         \x20   else for (;;) {\n\
         \x20     int is_paid;\n\
         \x20     resethookcount(L);\n\
         \x20     is_paid = G(L)->debt < (size_t)L->hookcount;\n\
         \x20     if (is_paid) L->hookcount -= (int)G(L)->debt;\n\
         \x20     G(L)->debt -= is_paid ? G(L)->debt : (size_t)L->hookcount;\n\
         \x20     luaD_callhook(L, LUA_HOOKCOUNT, -1);\n\
         \x20     if (is_paid) break;\n\
         \x20   }\n",
    ),
    // A coroutine has a count of its own: the first part of it is paid by who makes it.
    edit(
        "lstate.c",
        "  resethookcount(L1);\n",
        "  resethookcount(L1);\n\
         \x20 if (L1->hookcount > 200) L1->hookcount = 200;\n\
         \x20 work_(L, 200);\n",
    ),
    // Scripts' own functions written in C or Rust tell of their work, and forget debts.
    edit(
        "lbaselib.c",
        "#include \"lauxlib.h\"\n",
        "#include \"lauxlib.h\"\n#include \"lstate.h\"\n",
    ),
    edit(
        "lbaselib.c",
        "static const luaL_Reg base_funcs[] = {\n",
        "static int luaB_spend (lua_State *L) {\n\
         \x20 lua_Number units = lua_tonumber(L, 1);\n\
         \x20 if (units < 0) G(L)->debt = 0;\n\
         \x20 else work_(L, units);\n\
         \x20 return 0;\n\
         }\n\n\n\
         static const luaL_Reg base_funcs[] = {\n  {\"spend\", luaB_spend},\n",
    ),
    // Strings: their chains in the table of all strings, and their bytes.
    edit(
        "lstring.c",
        "  for (o = G(L)->strt.hash[lmod(h, G(L)->strt.size)];",
        "  size_t walked = 0;\n  for (o = G(L)->strt.hash[lmod(h, G(L)->strt.size)];",
    ),
    edit("lstring.c", "       o = o->gch.next) {", "       o = o->gch.next, walked += 64) {"),
    edit(
        "lstring.c",
        "    if (ts->tsv.len == l && (memcmp(str, getstr(ts), l) == 0)) {",
        "    if (ts->tsv.hash == h && ts->tsv.len == l && \\\n\
         \x20       (walked += l, memcmp(str, getstr(ts), l) == 0)) {\n\
         \x20     work_(L, walked / 64);",
    ),
    edit(
        "lstring.c",
        "  return newlstr(L, str, l, h);",
        "  work_(L, walked / 64 + l / 16);\n  return newlstr(L, str, l, h);",
    ),
    edit(
        "lstring.c",
        "  tb = &G(L)->strt;\n  for (i=0; i<newsize; i++)",
        "  work_(L, newsize);\n  tb = &G(L)->strt;\n  for (i=0; i<newsize; i++)",
    ),
    edit(
        "lvm.c",
        "int luaV_lessthan (",
        "#define l_strcmp(a,b) (luaE_work(L, ((a)->tsv.len < (b)->tsv.len ? \\\n\
         \t(a)->tsv.len : (b)->tsv.len) / 16), (l_strcmp)(a, b))\n\n\
         int luaV_lessthan (",
    ),
    // Texts as numbers, numbers as texts.
    edit("lvm.c", "    lua_number2str(s, n);\n", "    lua_number2str(s, n);\n    work_(L, 20);\n"),
    edit(
        "lvm.c",
        "  if ((b = luaV_tonumber(rb, &tempb)) != NULL &&",
        "  textwork_(L, rb);\n  textwork_(L, rc);\n\
         \x20 if ((b = luaV_tonumber(rb, &tempb)) != NULL &&",
    ),
    edit(
        "lvm.h",
        "(((o) = luaV_tonumber(o,n)) != NULL))",
        "(textwork_(L, o), ((o) = luaV_tonumber(o,n)) != NULL))",
    ),
    edit(
        "lbaselib.c",
        "    n = strtoul(s1, &s2, base);\n",
        "    work_(L, lua_objlen(L, 1) / 8);\n    n = strtoul(s1, &s2, base);\n",
    ),
    edit("lstrlib.c", "#include \"lualib.h\"\n", "#include \"lualib.h\"\n#include \"lstate.h\"\n"),
    edit(
        "lstrlib.c",
        "      luaL_addlstring(&b, buff, strlen(buff));",
        "      work_(L, strlen(buff) * 8);\n      luaL_addlstring(&b, buff, strlen(buff));",
    ),
    // Many values at once.
    edit(
        "lstrlib.c",
        "  n = (int)(pose -  posi + 1);\n",
        "  n = (int)(pose -  posi + 1);\n  work_(L, n > 16 ? n : 0);\n",
    ),
    edit(
        "lbaselib.c",
        "  lua_rawgeti(L, 1, i);  /* push arg[i] (",
        "  work_(L, n > 16 ? 4 * (size_t)n : 0);\n  lua_rawgeti(L, 1, i);  /* push arg[i] (",
    ),
    edit(
        "lvm.c",
        "- cl->p->numparams - 1;\n",
        "- cl->p->numparams - 1;\n        if (n > 16) luaE_work(L, n);\n",
    ),
    edit(
        "ldo.c",
        "  StkId base, fixed;\n",
        "  StkId base, fixed;\n  if (actual > 16) luaE_work(L, actual);\n",
    ),
    edit(
        "lvm.c",
        "        if (c == 0) c = cast_int(*pc++);\n",
        "        if (c == 0) c = cast_int(*pc++);\n        if (n > 16) luaE_work(L, n);\n",
    ),
    // Tables: growing, looking for what comes next, moving elements, and long chains.
    edit(
        "ltable.c",
        "  Node *nold = t->node;  /* save old hash ... */\n",
        "  Node *nold = t->node;  /* save old hash ... */\n\
         \x20 work_(L, ((size_t)nasize + oldasize) / 4 + \
         ((size_t)nhsize + twoto(oldhsize)) * 4);\n",
    ),
    edit(
        "ltable.c",
        "  setarrayvector(L, t, narray);\n",
        "  work_(L, (size_t)narray / 8 + (size_t)nhash);\n  setarrayvector(L, t, narray);\n",
    ),
    edit(
        "ltable.c",
        "  int i = findindex(L, t, key);  /* find original element */\n",
        "  int i = findindex(L, t, key);  /* find original element */\n  int begun = i;\n",
    ),
    edit(
        "ltable.c",
        "      setnvalue(key, cast_num(i+1));\n",
        "      work_(L, (i - begun) / 2);\n      setnvalue(key, cast_num(i+1));\n",
    ),
    edit(
        "ltable.c",
        "      setobj2s(L, key, key2tval(gnode(t, i)));\n",
        "      work_(L, (i + t->sizearray - begun) / 2);\n\
         \x20     setobj2s(L, key, key2tval(gnode(t, i)));\n",
    ),
    edit(
        "ltable.c",
        "  return 0;  /* no more elements */",
        "  work_(L, (i + t->sizearray - begun) / 2);\n  return 0;  /* no more elements */",
    ),
    edit(
        "lapi.c",
        "  more = luaH_next(L, hvalue(t), L->top - 1);\n",
        "  work_(L, 2);\n  more = luaH_next(L, hvalue(t), L->top - 1);\n",
    ),
    edit("ltablib.c", "#include \"lualib.h\"\n", "#include \"lualib.h\"\n#include \"lstate.h\"\n"),
    edit(
        "ltablib.c",
        "      for (i = e; i > pos; i--) {",
        "      work_(L, 2 * ((size_t)e - pos));\n      for (i = e; i > pos; i--) {",
    ),
    edit(
        "ltablib.c",
        "  for ( ;pos<e; pos++) {",
        "  work_(L, 2 * ((size_t)e - pos));\n  for ( ;pos<e; pos++) {",
    ),
    edit(
        "ltable.h",
        "LUAI_FUNC const TValue *luaH_getnum",
        "#if defined(__ELF__)\n\
         #define luaH_model_ __attribute__((tls_model(\"initial-exec\")))\n\
         #else\n\
         #define luaH_model_\n\
         #endif\n\
         LUAI_FUNC __thread size_t luaH_steps luaH_model_;  /* of the last search */\n\
         #define walked_(L) { if (luaH_steps >= 16) luaE_work(L, luaH_steps / 16); }\n\
         LUAI_FUNC const TValue *luaH_getnum",
    ),
    edit(
        "ltable.c",
        "#define dummynode\t",
        "__thread size_t luaH_steps luaH_model_ = 0;\n\n#define dummynode\t",
    ),
    Edit {
        file: "ltable.c",
        find: "else n = gnext(n);",
        times: 4,
        put: "else { n = gnext(n); luaH_steps++; }",
    },
    edit(
        "ltable.c",
        "  const TValue *p = luaH_get(t, key);\n",
        "  const TValue *p = (luaH_steps = 0, luaH_get(t, key));\n  walked_(L);\n",
    ),
    edit(
        "ltable.c",
        "  const TValue *p = luaH_getnum(t, key);\n",
        "  const TValue *p = (luaH_steps = 0, luaH_getnum(t, key));\n  walked_(L);\n",
    ),
    edit(
        "ltable.c",
        "  const TValue *p = luaH_getstr(t, key);\n",
        "  const TValue *p = (luaH_steps = 0, luaH_getstr(t, key));\n  walked_(L);\n",
    ),
    edit(
        "lvm.c",
        "      const TValue *res = luaH_get(h, key); /* do a primitive get */\n",
        "      const TValue *res = (luaH_steps = 0, luaH_get(h, key));\n      walked_(L);\n",
    ),
    edit(
        "lapi.c",
        "  setobj2s(L, L->top - 1, luaH_get(hvalue(t), L->top - 1));\n",
        "  luaH_steps = 0;\n\
         \x20 setobj2s(L, L->top - 1, luaH_get(hvalue(t), L->top - 1));\n\
         \x20 walked_(L);\n",
    ),
    // The collector.
    edit(
        "lgc.c",
        "  do {\n    lim -= singlestep(L);\n",
        "  do {\n    l_mem cost = singlestep(L);\n    lim -= cost;\n    work_(L, cost / 32);\n",
    ),
    edit(
        "lgc.c",
        "  int deadmask = otherwhite(g);\n  while (",
        "  int deadmask = otherwhite(g);\n  lu_mem before = count;\n  while (",
    ),
    edit("lgc.c", "  return p;\n}", "  work_(L, (before - count) * 8);\n  return p;\n}"),
    // A table is looked at as a whole: what it refers to is fetched ahead, or each is waited for.
    edit(
        "lgc.c",
        "static int traversetable (",
        "#if defined(__GNUC__)\n\
         #define fetch_(o) { if (iscollectable(o)) __builtin_prefetch(gcvalue(o), 1); }\n\
         #else\n\
         #define fetch_(o) {}\n\
         #endif\n\
         #define AHEAD 16\n\n\n\
         static int traversetable (",
    ),
    edit(
        "lgc.c",
        "      markvalue(g, &h->array[i]);",
        "    {\n\
         \x20     if (i >= AHEAD) fetch_(&h->array[i-AHEAD]);\n\
         \x20     markvalue(g, &h->array[i]);\n\
         \x20   }",
    ),
    edit(
        "lgc.c",
        "    lua_assert(ttype(gkey(n)) != LUA_TDEADKEY || ttisnil(gval(n)));\n    if (ttisnil",
        "    if (i >= AHEAD) {\n\
         \x20     fetch_(gkey(n - AHEAD));\n\
         \x20     fetch_(gval(n - AHEAD));\n\
         \x20   }\n\
         \x20   lua_assert(ttype(gkey(n)) != LUA_TDEADKEY || ttisnil(gval(n)));\n\
         \x20   if (ttisnil",
    ),
    // A step that is asked for pays no debts of the steps before it: that could be all at once.
    edit(
        "lapi.c",
        "      while (g->GCthreshold <= g->totalbytes) {",
        "      g->gcdept = 0;\n      while (g->GCthreshold <= g->totalbytes) {",
    ),
    // The compiler.
    edit(
        "llex.c",
        "  ls->lastline = ls->linenumber;\n  if",
        "  ls->lastline = ls->linenumber;\n  luaE_work(ls->L, 8);\n  if",
    ),
    edit("lcode.c", "      list = next;\n", "      { list = next; luaE_work(fs->L, 1); }\n"),
    // Tables keep objects by their numbers. Addresses of constants, which are few, all go to one
    // place: they differ from program to program, and where they go tells when a table has to grow.
    edit("lgc.c", "  o->gch.tt = tt;\n", "  o->gch.tt = tt;\n  serial_(o) = ++g->serial;\n"),
    edit(
        "lstring.c",
        "  u->uv.tt = LUA_TUSERDATA;\n",
        "  u->uv.tt = LUA_TUSERDATA;\n  serial_(u) = ++G(L)->serial;\n",
    ),
    edit("ltable.c", "      return hashpointer(t, pvalue(key));", "      return hashmod(t, 1);"),
    edit(
        "ltable.c",
        "      return hashpointer(t, gcvalue(key));",
        "      return hashmod(t, serial_(gcvalue(key)));",
    ),
    // Errors name the function that was called by what is not the prelude, and that place.
    edit(
        "lauxlib.c",
        "LUALIB_API int luaL_argerror (",
        "static int outer (lua_State *L, int level) {\n\
         \x20 lua_Debug ar;\n\
         \x20 while (lua_getstack(L, level, &ar) && lua_getinfo(L, \"S\", &ar) && \\\n\
         \x20        strcmp(ar.source, \"=prelude\") == 0)\n\
         \x20   level++;\n\
         \x20 return level;\n\
         }\n\n\n\
         LUALIB_API int luaL_argerror (",
    ),
    edit(
        "lauxlib.c",
        "  if (!lua_getstack(L, 0, &ar))",
        "  if (!lua_getstack(L, outer(L, 1) - 1, &ar))",
    ),
    edit(
        "lauxlib.c",
        "  if (lua_getstack(L, level, &ar)) {",
        "  if (lua_getstack(L, outer(L, level), &ar)) {",
    ),
    edit(
        "ldebug.c",
        "  if (isLua(ci)) {  /* is Lua code? */",
        "  if (isLua(ci) && strcmp(getstr(ci_func(ci)->l.p->source), \"=prelude\") != 0) {",
    ),
    // A function of the prelude is called as one in C is, also at the end of another.
    edit(
        "lvm.c",
        "            /* tail call: put new frame in place of previous one */\n",
        "            if (strcmp(getstr(clvalue(L->ci->func)->l.p->source), \"=prelude\") == 0) {\n\
         \x20             nexeccalls++;\n\
         \x20             goto reentry;\n\
         \x20           }\n\
         \x20           /* tail call: put new frame in place of previous one */\n",
    ),
];
