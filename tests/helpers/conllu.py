"""One sentence in CoNLL-U, with all that the format has."""

CONLLU = """# sent_id = 1
# text = Dogs don't bark
1\tDogs\tdog\tNOUN\t_\t_\t4\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\t_\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\t_\t_\t4\tadvmod\t_\t_
4\tbark\tbark\tVERB\t_\t_\t0\troot\t_\t_
4.1\tleft\t_\tVERB\t_\t_\t_\t_\t_\t_

"""
